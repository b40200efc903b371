#!lua flags=allow-oom
-- lead: this process asks to be the one that exports the metrics, or to remain it.
--
-- ARGV: 1 name, 2 ttl_ms, 3 '1' to give it up instead
-- Answer: 1 if it is this one now
--
-- Keys:
--   :metrics:leader  string  the process that exports; expires when it has not asked for `ttl_ms`
local key = KEYS[1] .. ':metrics:leader'
local leader = redis.call('GET', key)
if leader and leader ~= ARGV[1] then return 0 end
if ARGV[3] == '1' then
  redis.call('DEL', key)
  return 0
end
redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
return 1
