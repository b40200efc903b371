#!lua flags=allow-oom
-- end_dead_letter: puts a dead letter back into its queue, with no crashes counted, or discards it; once.
--
-- ARGV: queue, id, 'retry' or 'discard'
-- Answer: 1, or 0 if there is no such dead letter (any more)
-- include: queues
local queue, id, how = ARGV[1], ARGV[2], ARGV[3]
local key = queue_key(queue)
if how ~= 'retry' and how ~= 'discard' then return redis.error_reply('ERR end_dead_letter: unknown way ' .. how) end
if not redis.call('ZSCORE', key .. '.XQ', id) then return 0 end
local body = redis.call('HGET', key .. '.XQ.msgs', id)
if how == 'retry' and body then enqueue(queue, id, body) end
redis.call('HDEL', key .. '.XQ.msgs', id)
redis.call('HDEL', key .. '.XQ.causes', id)
redis.call('ZREM', key .. '.XQ', id)
return 1
