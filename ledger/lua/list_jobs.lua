#!lua flags=allow-oom
-- list_jobs: jobs, newest first. Entries of jobs that have expired leave the index on the way, which frees memory.
--
-- ARGV: 1 accepted not before, ms, 2 accepted before, ms, or '' (for the next page), 3 how many, 4 state or '',
--       5 tenant (JSON) or ''
-- Answer: JobResults (JSON)
-- include: queues
-- include: ownership
-- include: jobs
local PAGE = 200
local answer, wanted, offset = {}, tonumber(ARGV[3]), 0
local newest = ARGV[2] == '' and '+inf' or '(' .. ARGV[2]
local gone = {}
while #answer < wanted do
  local page = redis.call('ZRANGE', ns .. ':jobs', newest, ARGV[1], 'BYSCORE', 'REV', 'LIMIT', offset, PAGE)
  if #page == 0 then break end
  for _, job in ipairs(page) do
    local r = redis.call('HMGET', job_key(job), 'state', 'tenant')
    if not r[1] then
      gone[#gone + 1] = job
    elseif (ARGV[4] == '' or r[1] == ARGV[4]) and (ARGV[5] == '' or r[2] == ARGV[5]) and #answer < wanted then
      answer[#answer + 1] = result_json(job)
    end
  end
  offset = offset + PAGE
end
for _, job in ipairs(gone) do redis.call('ZREM', ns .. ':jobs', job) end
return answer
