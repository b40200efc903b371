#!lua flags=allow-oom
-- fetch: hands this worker messages that can start now.
--
-- ARGV: worker, queue, room (how many it has a slot for)
-- Answer: {'unregistered'} if this worker is not among the living (it must register under a new id first), else
--         {'ok', now_us, waiting (how many are left), then for each message: id, token, crashes, body}
-- Atomic: what it answers is in the worker's ack set and has a new delivery token, or is still in the queue. It may run
-- when memory is full: it adds only what the settling of a message frees again.
-- include: queues
-- include: ownership
local worker, queue, room = ARGV[1], ARGV[2], tonumber(ARGV[3])

if not redis.call('ZSCORE', ns .. ':__workers__', worker) then return {'unregistered'} end

local key = queue_key(queue)
local acks = acks_key(worker, queue)
local landing = ns .. ':__landing__.' .. worker .. '.' .. queue
local answer = {'ok', integer(now_us()), 0}
local taken = 0
while taken < room do
  local id = redis.call('LPOP', landing) or redis.call('LPOP', key)
  if not id then break end
  local body = redis.call('HGET', key .. '.msgs', id)
  if body then
    local token = next_sequence()
    redis.call('HSET', key .. ':deliveries', id, token)
    redis.call('SADD', acks, id)
    answer[#answer + 1] = id
    answer[#answer + 1] = token
    answer[#answer + 1] = redis.call('HGET', key .. ':crashes', id) or ''
    answer[#answer + 1] = body
    taken = taken + 1
  end
end
return_landing(worker, queue)
answer[3] = redis.call('LLEN', key)
return answer
