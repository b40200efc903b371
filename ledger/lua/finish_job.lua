#!lua flags=allow-oom
-- finish_job: a turn ends its job, with the model's answer or with a failure.
--
-- ARGV: 1-4 worker, queue, id, token, 5 job, 6 turn, 7 state, 8 assistant message (JSON) or '', 9 answer (JSON) or '',
--       10 error (JSON) or '', 11 model_answered or model_failed data (JSON) or '', 12 prompt tokens, 13 completion tokens,
--       14 finish reason (JSON) or '',
--       15 'model_answered' or 'model_failed'
-- Answer: 1, or 0 if the turn is not this delivery's any more; then nothing has changed
-- include: queues
-- include: ownership
-- include: jobs
-- include: turn_fence
local worker, queue, id, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job, turn = ARGV[5], ARGV[6]
local is_mine, conversation = owns_turn(worker, queue, id, token, job, turn)
if not is_mine then return refuse_step(worker, queue, id, token) end

local at_us = now_us()
if ARGV[8] ~= '' then
  redis.call('RPUSH', conversation_key(conversation) .. ':messages', ARGV[8])
end
if ARGV[11] ~= '' then record_event(job, ARGV[15], at_us, ARGV[11]) end
add_usage(job, ARGV[12], ARGV[13])
if ARGV[14] ~= '' then redis.call('HSET', job_key(job), 'finish_reason', ARGV[14]) end
redis.call('HSET', job_key(job), 'turn_claim', '') -- nobody is to be told to stop
end_job(job, ARGV[7], ARGV[9], ARGV[10], 'The job ended.', at_us)
acknowledge(worker, queue, id)
return 1
