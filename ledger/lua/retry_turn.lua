#!lua flags=allow-oom
-- retry_turn: the model could not be reached or answered badly; the turn is taken again later, by the schedule.
--
-- ARGV: 1-4 worker, queue, id, token, 5 job, 6 turn, 7 delay_ms, 8 model_failed data (JSON) or ''
-- Answer: 1, or 0 if the turn is not this delivery's any more; then nothing has changed
-- include: queues
-- include: ownership
-- include: jobs
-- include: turn_fence
local worker, queue, id, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job, turn = ARGV[5], ARGV[6]
if not owns_turn(worker, queue, id, token, job, turn) then return refuse_step(worker, queue, id, token) end

local at_us = now_us()
if ARGV[8] ~= '' then record_event(job, 'model_failed', at_us, ARGV[8]) end
redis.call('HSET', job_key(job), 'phase', 'queued', 'turn_claim', '')
if ARGV[8] == '' then redis.call('HINCRBY', job_key(job), 'turn_attempt', -1) end -- it waited, and tried nothing
postpone(worker, queue, id, at_us / 1000 + ARGV[7])
return 1
