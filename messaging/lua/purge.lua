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
    redis.call('HDEL', key .. '.msgs', id)
    redis.call('HDEL', key .. ':crashes', id)
    dropped = dropped + 1
  end
end
dropped = dropped + redis.call('ZCARD', queue_key(queue) .. ':schedule') + redis.call('ZCARD', queue_key(queue) .. '.XQ')
for _, suffix in ipairs({':schedule', ':schedule.msgs', '.XQ', '.XQ.msgs', '.XQ.causes'}) do
  redis.call('DEL', queue_key(queue) .. suffix)
end
return dropped
