#!lua flags=allow-oom
-- publish_tools: a living worker says which tools it has. Also when memory is full: a tool that nobody publishes is offered to
-- no model, and what is published again takes no more room.
--
-- ARGV: then for each tool: reference (name@version), specification (JSON)
-- Answer: how many tools the catalogue did not have
-- Keys: :catalogue hash, reference -> specification; :catalogue:seen zset, reference by when a worker last had it, ms. What
-- no worker had for a day leaves; neither key expires.
-- include: queues
local FORGET_AFTER_MS = 86400000
local now_ms = math.floor(now_us() / 1000)
local catalogue, seen = ns .. ':catalogue', ns .. ':catalogue:seen'
local new = 0
for i = 1, #ARGV, 2 do
  new = new + redis.call('HSET', catalogue, ARGV[i], ARGV[i + 1])
  redis.call('ZADD', seen, integer(now_ms), ARGV[i])
end
for _, reference in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', integer(now_ms - FORGET_AFTER_MS))) do
  redis.call('HDEL', catalogue, reference)
  redis.call('ZREM', seen, reference)
end
return new
