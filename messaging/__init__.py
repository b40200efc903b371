"""How a message moves: the broker, its queue scripts, recovery, and the event-loop worker.

The order in which a message flows through these files:

1. `broker` takes it from a producer, `lua/enqueue.lua` puts it into its queue;
2. `event_loop_worker` (or, under the stock `dramatiq` command, `consumer`, whose threads acknowledge together by
   `acknowledging`) fetches it: `delivery` says what was handed over, with which token, and how it was settled;
3. the actor's last step script settles it (`lua/fragments/ownership.lua`); what no step settles is settled by the
   worker;
4. `worker_life` beats for the worker, hears what it is told, gives back what dead workers held, promotes what is due.

`script` loads Lua, `command` pairs a script with its arguments and with the reader of its answer, `command_runner`
carries commands to Redis, one by one or pipelined. Nothing outside this package spells a key of a queue.

Below it, `redis_access` finds Redis and connects, `embedded` runs one of our own, and `processes` runs workers as
processes and keeps them running.
"""
