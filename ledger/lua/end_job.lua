#!lua flags=allow-oom
-- end_job: ends a job from outside its turns: a cancel, its deadline, or a message of it that nobody could process.
--
-- ARGV: 1-4 worker, queue, id, token of the message that this comes from, or '' four times
--       5 job, 6 state, 7 error (JSON), 8 what open calls are told, 9 '1' to do so only when its deadline has passed,
--       10 tenant (JSON) that must own it, or '', 11 turn that must be the current one and not yet answered, or ''
-- Answer: {'ended', state} | {'already', state} | {'unknown'} | {'early'} (and the message is scheduled for the deadline)
--       | {'stale'} (the message is no longer owned)
-- include: queues
-- include: ownership
-- include: jobs
local worker, queue, id, token, job = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local fenced = worker ~= ''
if fenced and not owns(queue, id, token) then return {'stale'} end

local at_us = now_us()
local r = redis.call('HMGET', job_key(job), 'state', 'deadline_ms', 'tenant', 'turn', 'phase')
local answer
if not r[1] or (ARGV[10] ~= '' and r[3] ~= ARGV[10]) then
  answer = {'unknown'}
elseif has_ended(r[1]) then
  answer = {'already', r[1]}
elseif ARGV[9] == '1' and at_us / 1000 < tonumber(r[2]) then
  if fenced then postpone(worker, queue, id, tonumber(r[2])) end
  return {'early'}
elseif ARGV[11] ~= '' and (r[4] ~= ARGV[11] or r[5] == 'calls') then
  answer = {'already', r[1]}
else
  end_job(job, ARGV[6], '', ARGV[7], ARGV[8], at_us)
  answer = {'ended', ARGV[6]}
end
if fenced then acknowledge(worker, queue, id) end
return answer
