#!lua flags=no-writes
-- queue_size: what is not done yet on a queue: waiting, being processed, scheduled, or delayed by stock producers.
--
-- ARGV: queue
-- Answer: a number
-- include: queues
local key = queue_key(ARGV[1])
return redis.call('HLEN', key .. '.msgs') + redis.call('ZCARD', key .. ':schedule') + redis.call('HLEN', key .. '.DQ.msgs')
