#!lua
-- record_progress: a running call says how far it is. Refused when memory is full; nobody minds.
--
-- ARGV: 1 job, 2 turn, 3 index, 4 call_progress data (JSON), 5 how many are kept of one call
-- Answer: 1, or 0 if the call has ended or has said enough
-- include: queues
-- include: jobs
local job, prefix = ARGV[1], call_prefix(ARGV[2], ARGV[3])
local calls = job_key(job) .. ':calls'
if redis.call('HGET', job_key(job), 'state') ~= 'running' then return 0 end
if redis.call('HEXISTS', calls, prefix .. 'outcome') == 1 or redis.call('HEXISTS', calls, prefix .. 'tool') == 0 then return 0 end
if redis.call('HINCRBY', calls, prefix .. 'progress', 1) > tonumber(ARGV[5]) then return 0 end
record_event(job, 'call_progress', now_us(), ARGV[4])
return 1
