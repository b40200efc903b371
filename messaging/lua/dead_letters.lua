#!lua flags=no-writes
-- dead_letters: the dead letters of a queue, newest first.
--
-- ARGV: queue, not before (ms or '-inf'), how many
-- Answer: for each: id, died at (ms), body, cause (JSON or '')
-- include: queues
local key = queue_key(ARGV[1])
local answer = {}
local found = redis.call('ZRANGE', key .. '.XQ', '+inf', ARGV[2], 'BYSCORE', 'REV', 'LIMIT', 0, ARGV[3], 'WITHSCORES')
for i = 1, #found, 2 do
  answer[#answer + 1] = found[i]
  answer[#answer + 1] = found[i + 1]
  answer[#answer + 1] = redis.call('HGET', key .. '.XQ.msgs', found[i]) or ''
  answer[#answer + 1] = redis.call('HGET', key .. '.XQ.causes', found[i]) or ''
end
return answer
