#!lua flags=allow-oom
-- admit_labels: which values of a label get series of their own; there are at most so many, first come first served.
--
-- ARGV: 1 label, 2 how many values it may have, then the values
-- Answer: those among them that are admitted
--
-- Keys:
--   :metrics:labels:<label>  set  admitted values (permanent)
local key, most = KEYS[1] .. ':metrics:labels:' .. ARGV[1], tonumber(ARGV[2])
local admitted = {}
for i = 3, #ARGV do
  if redis.call('SISMEMBER', key, ARGV[i]) == 1 then
    admitted[#admitted + 1] = ARGV[i]
  elseif redis.call('SCARD', key) < most then
    redis.call('SADD', key, ARGV[i])
    admitted[#admitted + 1] = ARGV[i]
  end
end
return admitted
