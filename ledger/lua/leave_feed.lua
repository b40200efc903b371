#!lua flags=allow-oom
-- leave_feed: a reader of a group goes; what it still holds is there for the others at once.
--
-- ARGV: 1 group, 2 reader
-- Answer: how many entries it held
-- include: queues
-- include: feed
local group, reader = ARGV[1], ARGV[2]
local held = redis.call('XPENDING', FEED, group, '-', '+', 1, reader)
if #held > 0 then
  redis.call('ZADD', group_key(group) .. ':readers', 0, reader) -- as good as dead: the next read of another takes over
  return #held
end
redis.call('XGROUP', 'DELCONSUMER', FEED, group, reader)
redis.call('ZREM', group_key(group) .. ':readers', reader)
return 0
