#!lua flags=no-writes
-- read_metrics: all metrics at one moment. Keys: see apply_metrics.
--
-- ARGV: 1 the name of the totals
-- Answer: {totals as a flat list, exemplars as a flat list, since when (µs) or nil}
local metrics = KEYS[1] .. ':metrics:'
return {redis.call('HGETALL', metrics .. ARGV[1]), redis.call('HGETALL', metrics .. 'exemplars'), redis.call('GET', metrics .. 'since')}
