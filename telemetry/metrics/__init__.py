"""From the facts of all jobs to metrics.

`measuring` makes `measurements` of facts, for the metrics that `instruments` lists (`prices`: what tokens cost);
`label_gate` bounds their labels, `fields` makes integers of them (`histogram`), which `store` adds up in Redis.
`keeper` does all that for entries of the feed; `collecting` reads them, for `prometheus`, `otlp_metrics` and
`tool_report`. `service` is what a telemetry process runs of it; one process exports for all (`leading`).
"""
