#!lua flags=allow-oom
-- vouch: a supervisor says that its children live, since it sees that their processes do: a child whose interpreter is held
-- by a tool cannot beat for itself.
--
-- ARGV: hung_timeout_ms, then worker ids
-- Answer: the workers that have not beaten for themselves for that long; they are not vouched for
-- include: queues
local now_ms = math.floor(now_us() / 1000)
local hung = {}
for i = 2, #ARGV do
  local worker = ARGV[i]
  local beaten_ms = tonumber(redis.call('HGET', ns .. ':__worker__.' .. worker, 'beaten_ms') or now_ms)
  if now_ms - beaten_ms > tonumber(ARGV[1]) then
    hung[#hung + 1] = worker
  elseif redis.call('ZSCORE', ns .. ':__workers__', worker) then
    redis.call('ZADD', ns .. ':__workers__', integer(now_ms), worker)
  end
end
return hung
