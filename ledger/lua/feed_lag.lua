#!lua flags=no-writes
-- feed_lag: how far behind the readers of a group are.
--
-- ARGV: 1 group
-- Answer: {now_us, entries that wait or are held by readers, ms since 1970 of the oldest of these or ''}
-- include: queues
-- include: feed
local group = ARGV[1]
local state = redis.call('HMGET', group_key(group), 'delivered', 'last_id')
local lag = tonumber(redis.call('GET', ns .. ':feed:sequence') or '0') - tonumber(state[1] or '0')
local held = state[2] and redis.call('XPENDING', FEED, group) or {0}
local waiting = redis.call('XRANGE', FEED, '(' .. (state[2] or '0-0'), '+', 'COUNT', 1)
if not waiting[1] then lag = 0 end
local oldest = held[1] > 0 and held[2] or waiting[1] and waiting[1][1]
return {integer(now_us()), lag + held[1], oldest and string.match(oldest, '^%d+') or ''}
