#!lua flags=no-writes
-- read_hashes: the metrics of some minutes or hours. Keys: see apply_metrics.
--
-- ARGV: names of hashes
-- Answer: for each its fields and numbers as a flat list
local answer = {}
for i, name in ipairs(ARGV) do answer[i] = redis.call('HGETALL', KEYS[1] .. ':metrics:' .. name) end
return answer
