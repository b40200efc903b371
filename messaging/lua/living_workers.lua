#!lua flags=no-writes
-- living_workers: what the workers that live said of themselves.
--
-- Answer: for each: info (JSON), how many messages it holds, how long ago it beat for itself, ms
-- include: queues
local now_ms = math.floor(now_us() / 1000)
local queues = redis.call('SMEMBERS', ns .. ':__queues__')
local answer = {}
for _, worker in ipairs(redis.call('ZRANGE', ns .. ':__workers__', 0, -1)) do
  local w = redis.call('HMGET', ns .. ':__worker__.' .. worker, 'info', 'beaten_ms')
  if w[1] then
    local held = 0
    for _, queue in ipairs(queues) do held = held + redis.call('SCARD', acks_key(worker, queue)) end
    answer[#answer + 1] = w[1]
    answer[#answer + 1] = held
    answer[#answer + 1] = now_ms - (w[2] or now_ms)
  end
end
return answer
