#!lua flags=allow-oom
-- acknowledge_feed: what a reader of a group was handed is done with, and is counted.
--
-- ARGV: 1 group, 2 reader, 3 how many counters, then for each: name, by how much; then the ids of entries
-- Answer: how many of the entries were still unacknowledged: another reader may have taken over, and been quicker
-- Atomic: an entry is acknowledged once, together with whatever is applied for it.
-- include: queues
-- include: feed
local group, reader, counters = ARGV[1], ARGV[2], tonumber(ARGV[3])
local key = group_key(group)
local FIRST = 4 + counters * 2
local acknowledged = 0
for i = FIRST, #ARGV do
  -- XACK answers 1 to whoever is first: what has to be applied once for this entry is applied here.
  acknowledged = acknowledged + redis.call('XACK', FEED, group, ARGV[i])
end
if acknowledged > 0 then
  for i = 4, FIRST - 1, 2 do redis.call('HINCRBY', key, ARGV[i], ARGV[i + 1]) end
end
return acknowledged
