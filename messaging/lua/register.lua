#!lua flags=allow-oom
-- register: a worker joins the living, or says anew what it serves.
--
-- ARGV: worker, info (JSON text; `reads` is the newest schema version that it reads), info_ttl_ms, then the queues it serves
-- Answer: now, µs
-- include: queues
local worker, info, ttl_ms = ARGV[1], ARGV[2], ARGV[3]
local at_us = now_us()
redis.call('ZADD', ns .. ':__workers__', integer(at_us / 1000), worker)
redis.call('ZADD', ns .. ':__heartbeats__', integer(at_us / 1000), worker)
redis.call('HSET', ns .. ':__worker__.' .. worker, 'info', info)
redis.call('PEXPIRE', ns .. ':__worker__.' .. worker, ttl_ms)
local reads = cjson.decode(info).reads
if reads then redis.call('ZADD', ns .. ':__reads__', reads, worker) end
for i = 4, #ARGV do redis.call('SADD', ns .. ':__queues__', ARGV[i]) end
return integer(at_us)
