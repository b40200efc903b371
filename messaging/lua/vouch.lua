#!lua flags=allow-oom
-- vouch: a supervisor says that its children live, since it sees that their processes do: a child whose interpreter is held
-- by a tool cannot beat for itself.
--
-- ARGV: worker ids
-- Answer: how many of them were among the living, and are for one time-out more
-- include: queues
local now_ms = math.floor(now_us() / 1000)
local living = 0
for _, worker in ipairs(ARGV) do
  if redis.call('ZSCORE', ns .. ':__workers__', worker) then
    redis.call('ZADD', ns .. ':__workers__', integer(now_ms), worker)
    living = living + 1
  end
end
return living
