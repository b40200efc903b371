#!lua flags=allow-oom
-- claim_turn: this delivery takes a turn of a job, or learns why it must not, and reads what it needs.
--
-- ARGV: 1-4 worker, queue, id, token, 5 job, 6 turn, 7 crashes so far, 8 how many are too many, 9 delivered (JSON)
-- Answer: {'stale'}: the turn is not to be taken (any more); the message is acknowledged if it was owned
--       | {'crashed'}: too many deliveries died; the job is ended and the message is a dead letter
--       | {'go', now_us, deadline_ms, spec, attempt, calls_used, conversation, trace, then the messages (JSON)}
-- Atomic: two deliveries of a turn never both get 'go' while the first still owns its message. The same delivery asking
-- again gets the same answer.
-- include: queues
-- include: ownership
-- include: jobs
local worker, queue, id, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job, turn = ARGV[5], ARGV[6]
local at_us = now_us()
local owned = owns(queue, id, token)

local r = redis.call('HMGET', job_key(job), 'state', 'turn', 'phase', 'turn_claim', 'deadline_ms', 'spec', 'calls_used',
  'conversation', 'turn_attempt', 'trace')
if not owned then return {'stale'} end
if r[1] ~= 'running' or r[2] ~= turn or (r[3] ~= 'queued' and r[3] ~= 'model') then
  acknowledge(worker, queue, id)
  return {'stale'}
end

local claim = token .. '|' .. worker .. '|' .. id
local mine = r[4] == claim
if r[4] and r[4] ~= '' and not mine then
  local first_token, _, first_id = string.match(r[4], '^([^|]*)|([^|]*)|(.*)$')
  if redis.call('HGET', queue_key(queue) .. ':deliveries', first_id) == first_token then
    count('duplicate_deliveries')
    acknowledge(worker, queue, id)
    return {'stale'}
  end
end

if tonumber(ARGV[7]) >= tonumber(ARGV[8]) then
  local failure = '{"code":"crashed","message":"the orchestrator process died ' .. ARGV[7]
    .. ' times while it took turn ' .. turn .. ' of this job; look at its logs and at the dead letters"}'
  end_job(job, 'failed', '', failure, 'The job failed.', at_us, ARGV[9])
  bury(worker, queue, id, '{"reason":"crashed","error":"' .. ARGV[7] .. ' deliveries died"}', at_us)
  return {'crashed'}
end

local attempt = tonumber(r[9] or '0')
if not mine then
  attempt = attempt + 1
  redis.call('HSET', job_key(job), 'phase', 'model', 'turn_claim', claim, 'turn_attempt', attempt, 'turn_message', id)
  record_event(job, 'turn_started', at_us,
    '{"turn":' .. turn .. ',"attempt":' .. attempt .. ',"delivery":' .. ARGV[9] .. '}')
end
local answer = {'go', integer(at_us), r[5], r[6], attempt, r[7], r[8], r[10]}
for _, message in ipairs(redis.call('LRANGE', conversation_key(r[8]) .. ':messages', 0, -1)) do
  answer[#answer + 1] = message
end
return answer
