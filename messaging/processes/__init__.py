"""Worker processes: running them, and keeping them running.

`worker_process` is one of them, from its entry to its end, on an `event_loop`; `health` answers its probes. `supervise`
is the process that looks after several: a `supervisor`, which its children tell by `life_line` that they live, with an
`advocate` that says so in Redis. `pool_size` decides how many there should be. The supervisor needs nothing but the
standard library.
"""
