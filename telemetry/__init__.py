"""Telling the world what happened: facts of the ledger become spans and metrics. Nothing in a job's way waits for it.

The order in which something that has ended flows through these files:

1. `feed`: a reader of the ledger's feed gets what has ended, and gives it up once it is exported;
2. `job_facts`: the ledger's record and events of a job as typed facts (`reading_events`), read by `facts_reader`;
3. `job_spans`, `turn_spans`, `attempt_spans`: facts become spans, whose names are in `conventions`;
4. `sampling` and `tracing`: which of them are exported, by `otlp_encoding` and `otlp_http`;
5. `measuring` makes `measurements` of facts, for the metrics that `instruments` lists; `label_gate` bounds their
   labels;
6. `metric_fields` makes integers of them (`histogram`), which `metric_store` adds up in Redis; `metrics_keeper` does
   it all;
7. `collecting` reads them for `prometheus` and `tool_report`, if this process is `leading`;
8. `settings`, `metrics_service` and `process`: what `trunkline telemetry` runs.

Only the command line imports this package; orchestrators and workers export nothing of their own.
"""
