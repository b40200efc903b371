#!lua flags=allow-oom
-- apply_metrics: what some entries of the feed add to the metrics, together with their acknowledgement.
--
-- ARGV: 1 consumer group, 2 consumer, 3 how many entries, then their ids;
--       how many hashes, then for each: its name below :metrics:, when it expires (s since 1970, 0 for never),
--       how many fields, then for each its name and what is added to it;
--       how many exemplars, then for each its field and value
-- Answer: 1, or 0 if not all of these entries are pending for this consumer: then nothing has changed
-- Atomic: whoever applies an entry has acknowledged it, so that applying it again adds nothing. Additions are integers and
-- can be made in any order.
--
-- Keys:
--   :feed                 stream  the ledger's, see ledger/lua/fragments/jobs.lua
--   :metrics:totals       hash    series and part -> number, since the first entry (permanent)
--   :metrics:minute:<n>   hash    the same of the series that reports read, of one minute since 1970; expires
--   :metrics:hour:<n>     hash    likewise of one hour
--   :metrics:exemplars    hash    series and bucket -> trace, span, value and time of one that fell there (permanent)
--   :metrics:since        number  µs, when the totals began (permanent)
local ns = KEYS[1]
local group, consumer, entries = ARGV[1], ARGV[2], tonumber(ARGV[3])
local feed, metrics = ns .. ':feed', ns .. ':metrics:'

for i = 4, 3 + entries do
  if #redis.call('XPENDING', feed, group, ARGV[i], ARGV[i], 1, consumer) == 0 then return 0 end
end
local at, hashes = 4 + entries, {}
for _ = 1, tonumber(ARGV[at]) do
  local hash = {name = ARGV[at + 1], expires = ARGV[at + 2], first = at + 4, last = at + 3 + 2 * tonumber(ARGV[at + 3])}
  local kind = redis.call('TYPE', metrics .. hash.name).ok
  if kind ~= 'none' and kind ~= 'hash' then return redis.error_reply('WRONGTYPE apply_metrics: ' .. hash.name) end
  hashes[#hashes + 1] = hash
  at = hash.last
end
local exemplars = at + 1
if #ARGV ~= exemplars + 2 * tonumber(ARGV[exemplars]) then
  return redis.error_reply('ERR apply_metrics: wrong number of arguments')
end

local time = redis.call('TIME')
redis.call('SET', metrics .. 'since', string.format('%.0f', time[1] * 1000000 + time[2]), 'NX')
for _, hash in ipairs(hashes) do
  for i = hash.first, hash.last, 2 do redis.call('HINCRBY', metrics .. hash.name, ARGV[i], ARGV[i + 1]) end
  if hash.expires ~= '0' then redis.call('EXPIREAT', metrics .. hash.name, hash.expires) end
end
for i = exemplars + 1, #ARGV, 2 do redis.call('HSET', metrics .. 'exemplars', ARGV[i], ARGV[i + 1]) end
for i = 4, 3 + entries do redis.call('XACK', feed, group, ARGV[i]) end
return 1
