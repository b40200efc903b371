#!lua flags=allow-oom
-- purge: drops whatever waits in a queue, is scheduled for it, or lies among its dead letters. What is being processed
-- stays owned by its worker, so that nothing is counted wrongly afterwards.
--
-- ARGV: queue
-- Answer: how many messages were dropped
-- include: queues
local queue = ARGV[1]
local dropped = 0
for _, key in ipairs({queue_key(queue), queue_key(queue) .. '.DQ'}) do
  while true do
    local id = redis.call('LPOP', key)
    if not id then break end
    if id ~= TICKET then
      redis.call('HDEL', key .. '.msgs', id)
      redis.call('HDEL', key .. ':crashes', id)
    end
    dropped = dropped + 1
  end
end
for _, priority in ipairs({'i', 'b'}) do
  for _, tenants in ipairs({':turns:', ':held:'}) do
    for _, tenant in ipairs(redis.call('ZRANGE', queue_key(queue) .. tenants .. priority, 0, -1)) do
      local lane = queue_key(queue) .. ':lane:' .. priority .. ':' .. tenant
      for _, id in ipairs(redis.call('LRANGE', lane, 0, -1)) do
        redis.call('HDEL', queue_key(queue) .. '.msgs', id)
        redis.call('HDEL', queue_key(queue) .. ':crashes', id)
        redis.call('HDEL', queue_key(queue) .. ':lane_of', id)
      end
      redis.call('DEL', lane)
    end
    redis.call('DEL', queue_key(queue) .. tenants .. priority)
  end
  redis.call('DEL', queue_key(queue) .. ':held_turns:' .. priority)
end
for _, id in ipairs(redis.call('ZRANGE', queue_key(queue) .. ':schedule', 0, -1)) do
  drop_scheduled(queue, id)
  dropped = dropped + 1
end
dropped = dropped + redis.call('ZCARD', queue_key(queue) .. '.XQ')
for _, suffix in ipairs({'.XQ', '.XQ.msgs', '.XQ.causes'}) do
  redis.call('DEL', queue_key(queue) .. suffix)
end
return dropped
