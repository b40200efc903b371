#!lua flags=allow-oom
-- set_limits: changes what a queue, or a tenant in it, may do, and rings every worker that waits because of it.
--
-- ARGV: queue, tenant ('' for the queue itself, '*' for every tenant without limits of its own), '1' to do nothing if they
--   have been set before, then name, value pairs.
--   Of a queue: paused, step_us, tolerance_us, max_in_flight, fair; of a tenant: limits
--   ("step_us|tolerance_us|max_in_flight|weight"). '' takes a limit away.
-- Answer: how many workers were rung
-- include: queues
local queue, tenant = ARGV[1], ARGV[2]
local key = queue_key(queue)
local set_before = tenant == '' and redis.call('HEXISTS', key .. ':limits', 'set') == 1
  or tenant ~= '' and redis.call('HEXISTS', key .. ':tenant_limits', tenant) == 1
if ARGV[3] == '1' and set_before then return 0 end
redis.call('SADD', ns .. ':__queues__', queue)
if tenant == '' then redis.call('HSET', key .. ':limits', 'set', 1) end
for i = 4, #ARGV, 2 do
  local hash, field = key .. ':limits', ARGV[i]
  if tenant ~= '' then hash, field = key .. ':tenant_limits', tenant end
  if ARGV[i + 1] == '' then
    redis.call('HDEL', hash, field)
  else
    redis.call('HSET', hash, field, ARGV[i + 1])
  end
end
-- A new rate begins now: what the old one had charged in advance is forgotten.
redis.call('HDEL', key .. ':limits', 'tat_us')
for _, priority in ipairs({'i', 'b'}) do
  for _, held in ipairs(redis.call('ZRANGE', key .. ':held:' .. priority, 0, -1)) do
    redis.call('ZADD', key .. ':held:' .. priority, 0, held)
  end
end
local rung = 0
for _, worker in ipairs(redis.call('ZRANGE', key .. ':timed', 0, -1)) do
  redis.call('RPUSH', key .. ':parked', worker)
end
redis.call('DEL', key .. ':timed')
rung = redis.call('LLEN', key .. ':parked')
ring_parked(queue, rung)
return rung
