#!lua flags=no-writes
-- living_workers: what the workers that live said of themselves.
--
-- Answer: their infos (JSON)
-- include: queues
local answer = {}
for _, worker in ipairs(redis.call('ZRANGE', ns .. ':__workers__', 0, -1)) do
  local info = redis.call('HGET', ns .. ':__worker__.' .. worker, 'info')
  if info then answer[#answer + 1] = info end
end
return answer
