#!lua flags=no-writes
-- snapshot: everything below a namespace, at one instant.
--
-- KEYS[1]: the namespace; its glob characters are escaped here
-- Answer: for each key: name, type, milliseconds it has left (-1: for ever), content
local pattern = string.gsub(KEYS[1], '[%[%]%*%?%\\]', '\\%0') .. ':*'
local read = {
  hash = function(key) return redis.call('HGETALL', key) end,
  list = function(key) return redis.call('LRANGE', key, 0, -1) end,
  set = function(key) return redis.call('SMEMBERS', key) end,
  zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
  stream = function(key) return redis.call('XRANGE', key, '-', '+') end,
  string = function(key) return {redis.call('GET', key)} end,
}
local answer = {}
for _, key in ipairs(redis.call('KEYS', pattern)) do
  local kind = redis.call('TYPE', key).ok
  answer[#answer + 1] = {key, kind, redis.call('PTTL', key), read[kind](key)}
end
return answer
