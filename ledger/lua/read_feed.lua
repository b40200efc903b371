#!lua flags=allow-oom
-- read_feed: a reader of a group says that it lives, takes over what dead readers of the group held, and gets what is new.
--
-- ARGV: 1 group, 2 reader, 3 how many entries it has room for, 4 silence_ms after which a reader is dead
-- Answer: {now_us, entries waiting or held by readers, ms since 1970 of the oldest of these or '',
--          then for each entry: {id, job, what, turn, accepted_us, sequence}}
-- Atomic: an entry is held by one living reader of the group, or waits. What the feed's cap took is counted as lost.
-- include: queues
-- include: feed
local group, reader, room, silence_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local at_us = now_us()
local now_ms = math.floor(at_us / 1000)
local key = group_key(group)
local readers = key .. ':readers'

if redis.call('EXISTS', key) == 0 then
  redis.call('XGROUP', 'CREATE', FEED, group, '0', 'MKSTREAM')
  redis.call('HSET', key, 'last_id', '0-0')
end
redis.call('ZADD', readers, integer(now_ms), reader)

local answer = {integer(at_us), 0, ''}
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', readers, '-inf', integer(now_ms - silence_ms))) do
  if room <= 0 then break end
  local ids = {}
  for _, held in ipairs(redis.call('XPENDING', FEED, group, '-', '+', room, dead)) do ids[#ids + 1] = held[1] end
  if #ids > 0 then
    local taken = redis.call('XCLAIM', FEED, group, reader, 0, unpack(ids))
    feed_entries(answer, taken)
    redis.call('HINCRBY', key, 'taken_over', #taken)
    redis.call('HINCRBY', key, 'lost', #ids - #taken)
    room = room - #ids
  else
    redis.call('XGROUP', 'DELCONSUMER', FEED, group, dead)
    redis.call('ZREM', readers, dead)
  end
end

if room > 0 then
  local read = redis.call('XREADGROUP', 'GROUP', group, reader, 'COUNT', room, 'STREAMS', FEED, '>')
  local entries = read and read[1] and read[1][2] or {}
  if #entries > 0 then
    local first = #answer + 1
    feed_entries(answer, entries)
    local delivered = tonumber(redis.call('HGET', key, 'delivered') or answer[first][6] - 1)
    for i = first, #answer do
      local sequence = tonumber(answer[i][6])
      if sequence > delivered + 1 then redis.call('HINCRBY', key, 'lost', integer(sequence - delivered - 1)) end
      delivered = sequence
    end
    redis.call('HSET', key, 'delivered', integer(delivered), 'last_id', answer[#answer][1])
  end
end

local state = redis.call('HMGET', key, 'delivered', 'last_id')
local held = redis.call('XPENDING', FEED, group)
local waiting = redis.call('XRANGE', FEED, '(' .. state[2], '+', 'COUNT', 1)
local oldest = held[1] > 0 and held[2] or waiting[1] and waiting[1][1]
if waiting[1] then
  answer[2] = tonumber(redis.call('GET', ns .. ':feed:sequence') or '0') - tonumber(state[1] or '0')
end
answer[2] = answer[2] + held[1]
if oldest then answer[3] = string.match(oldest, '^%d+') end
return answer
