"""From the facts of a job to its trace.

`job_spans`, `turn_spans` and `attempt_spans` make spans (`span`, `span_writer`, with `content` where somebody has opted
in), `sampling` decides which are exported, `otlp_encoding` writes them; `tracing` does all that for entries of the
feed. `critical_path` tells what the time of a trace was owed to.
"""
