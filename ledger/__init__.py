"""What is durably known: jobs, their turns and calls, events, conversations, and the catalogue of tools.

The order in which a job flows through these files, each a set of commands with a Lua script per step:

1. `accepting`: a chat job enters the ledger together with the message that will move it;
2. `turn_steps`: a turn is claimed, and ends in calls, in the job's end, or in another attempt;
3. `call_steps`: a call is claimed, and ends in its outcome or in another attempt;
4. `job_end`: what ends a job from outside its turns;
5. `reading`: results, lists, events, conversations;
6. `catalogue`: which tools living pools have;
7. `sweeping`: what no message will wake any more;
8. `feed` and `job_record`: what has ended and all that is known of it, for traces and metrics.

The ledger is the only truth: whatever a message says is checked against it. Nothing here decides what a job does next.
"""
