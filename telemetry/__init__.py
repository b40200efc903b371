"""Telling the world what happened: facts of the ledger become spans and metrics. Nothing in a job's way waits for it.

The order in which something that has ended flows through these files:

1. `feed`: a reader of the ledger's feed gets what has ended, and gives it up once it is exported;
2. `job_facts`: the ledger's record and events of a job as typed facts (`reading_events`), read by `facts_reader`;
3. `traces` makes spans of facts, `metrics` adds up what can be measured; the names of both are in `conventions`;
4. `otlp_http` sends them;
5. `settings` and `process`: what `trunkline telemetry` runs.

Only the command line imports this package; orchestrators and workers export nothing of their own.
"""
