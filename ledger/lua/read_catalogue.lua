#!lua flags=no-writes
-- read_catalogue: every tool that some worker has had within a day.
--
-- Answer: {now_ms, then for each tool: specification (JSON), when a worker last had it, ms}
-- include: queues
local answer = {integer(now_us() / 1000)}
local entries = redis.call('ZRANGE', ns .. ':catalogue:seen', 0, -1, 'WITHSCORES')
for i = 1, #entries, 2 do
  local specification = redis.call('HGET', ns .. ':catalogue', entries[i])
  if specification then
    answer[#answer + 1] = specification
    answer[#answer + 1] = entries[i + 1]
  end
end
return answer
