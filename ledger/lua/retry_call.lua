#!lua flags=allow-oom
-- retry_call: a tool failed and its policy says again; the message waits in the schedule, not in a slot.
--
-- ARGV: 1-4 worker, queue, id, token, 5 job, 6 turn, 7 index, 8 delay_ms, 9 call_retried data (JSON)
-- Answer: 1, or 0 if the call is not this delivery's any more; then only the message is acknowledged
-- include: queues
-- include: ownership
-- include: jobs
local worker, queue, id, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job, turn, index = ARGV[5], ARGV[6], ARGV[7]
if not owns(queue, id, token) then
  count('late_steps')
  return 0
end
local calls, prefix = job_key(job) .. ':calls', call_prefix(turn, index)
local r = redis.call('HMGET', job_key(job), 'state', 'turn', 'phase')
local c = redis.call('HMGET', calls, prefix .. 'outcome', prefix .. 'claim')
local claim = token .. '|' .. worker .. '|' .. id .. '|'
if r[1] ~= 'running' or r[2] ~= turn or r[3] ~= 'calls' or c[1] or not c[2] or string.sub(c[2], 1, #claim) ~= claim then
  acknowledge(worker, queue, id)
  return 0
end
local at_us = now_us()
record_event(job, 'call_retried', at_us, ARGV[9])
redis.call('HDEL', calls, prefix .. 'claim')
postpone(worker, queue, id, at_us / 1000 + ARGV[8])
return 1
