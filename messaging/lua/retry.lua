#!lua flags=allow-oom
-- retry: settles a message and schedules its next attempt, in one step.
--
-- ARGV: worker, queue, id, token, next_queue, next_id, next_body, delay_ms
-- Answer: 1, or 0 if this worker no longer owns the message (then somebody else has it, and nothing is done)
-- include: queues
-- include: ownership
local worker, queue, id, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if not owns(queue, id, token) then return 0 end
schedule(ARGV[5], ARGV[6], ARGV[7], now_us() / 1000 + ARGV[8])
acknowledge(worker, queue, id)
return 1
