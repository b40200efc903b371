#!lua flags=allow-oom
-- claim_call: this delivery performs a call, or learns why it must not, and reads what it needs.
--
-- ARGV: 1-4 worker, queue, id, token, 5 job, 6 turn, 7 index, 8 crashes so far, 9 how many are too many,
--       10 delivered (JSON), 11 grace_ms
-- Answer: {'stale'}: the call is not to be performed (any more); the message is acknowledged if it was owned
--       | {'postponed', delay_ms}: an unsafe call whose first worker was lost may still report; the message waits for it
--       | {'answered', outcome}: nobody may begin it again; its outcome is recorded by this script
--       | {'go', now_us, deadline_ms, tool, arguments, attempt, caller, conversation, trace}
-- Atomic: two deliveries of a call never both get 'go' while the first still owns its message, and an unsafe call is never
-- begun twice. The same delivery asking again gets the same answer.
-- include: queues
-- include: ownership
-- include: jobs
local worker, queue, id, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job, turn, index = ARGV[5], ARGV[6], ARGV[7]
local at_us = now_us()
if not owns(queue, id, token) then return {'stale'} end

local key, prefix = job_key(job), call_prefix(turn, index)
local r = redis.call('HMGET', key, 'state', 'turn', 'phase', 'deadline_ms', 'caller', 'conversation', 'trace')
local c = redis.call('HMGET', key .. ':calls', prefix .. 'outcome', prefix .. 'claim', prefix .. 'effect', prefix .. 'tool',
  prefix .. 'arguments', prefix .. 'attempt', prefix .. 'timeout_ms', prefix .. 'pool')
if r[1] ~= 'running' or r[2] ~= turn or r[3] ~= 'calls' or c[1] or c[8] ~= queue then
  acknowledge(worker, queue, id)
  return {'stale'}
end

local claim = token .. '|' .. worker .. '|' .. id
local claimed = c[2] and c[2] ~= ''
local mine = claimed and string.sub(c[2], 1, #claim + 1) == claim .. '|'
local lost = false
if claimed and not mine then
  local first_token, _, first_id, claimed_us = string.match(c[2], '^([^|]*)|([^|]*)|(.*)|(%d+)$')
  if redis.call('HGET', queue_key(queue) .. ':deliveries', first_id) == first_token then
    count('duplicate_deliveries')
    acknowledge(worker, queue, id)
    return {'stale'}
  end
  lost = true
  if c[3] == 'unsafe' then
    local wait_ms = claimed_us / 1000 + c[7] + ARGV[11] - at_us / 1000
    if wait_ms > 0 then
      postpone(worker, queue, id, at_us / 1000 + wait_ms)
      return {'postponed', math.ceil(wait_ms)}
    end
    local outcome, content = outcome_without_result(true, 'unsafe', '', 'The worker that ran the tool was lost.')
    answer_call(job, turn, index, outcome, cjson.encode(content), call_ended_data(turn, index, outcome, ARGV[10]), at_us)
    acknowledge(worker, queue, id)
    return {'answered', outcome}
  end
end

if tonumber(ARGV[8]) >= tonumber(ARGV[9]) then
  local outcome, content = outcome_without_result(claimed, c[3], 'failed',
    'The process that runs this tool died ' .. ARGV[8] .. ' times with this call.')
  answer_call(job, turn, index, outcome, cjson.encode(content), call_ended_data(turn, index, outcome, ARGV[10]), at_us)
  bury(worker, queue, id, '{"reason":"crashed","error":"' .. ARGV[8] .. ' deliveries died"}', at_us)
  return {'answered', outcome}
end

local attempt = tonumber(c[6] or '0')
if not mine then
  attempt = attempt + 1
  redis.call('HSET', key .. ':calls', prefix .. 'claim', claim .. '|' .. integer(at_us), prefix .. 'attempt', attempt,
    prefix .. 'message', id)
  record_event(job, 'call_started', at_us,
    '{"turn":' .. turn .. ',"index":' .. index .. ',"attempt":' .. attempt .. ',"delivery":' .. ARGV[10] .. '}')
end
return {'go', integer(at_us), r[4], c[4], c[5], attempt, r[5], r[6], r[7]}
