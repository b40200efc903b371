#!lua flags=allow-oom
-- beat: a process says that its workers live, hears what they are told, and does the rounds that somebody must do:
-- give back what dead workers held, promote what is due, and forget dead letters that are too old.
--
-- ARGV: heartbeat_timeout_ms, check_interval_ms, info_ttl_ms, dead_letter_ttl_ms, then worker ids
-- Answer: {now_us, next due time in ms or '', released messages, then for each worker: 1 or 0 (declared dead), the number
--          of ids it holds, and a list of what it was told}
-- Dead workers are looked for at most once an interval, by whoever beats first. If the last look is older than the
-- time-out itself, Redis was away: nobody could beat, so nobody is declared dead for one time-out from now.
-- include: queues
-- include: ownership
-- include: promotion
local timeout_ms, interval_ms, info_ttl_ms, dead_letter_ttl_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local STOCK_MARGIN_MS = 60000
local GONE_MARGIN_MS = 600000
local TOLD_AT_ONCE = 100
local at_us = now_us()
local now_ms = math.floor(at_us / 1000)
local workers_key, heartbeats_key, recovery_key = ns .. ':__workers__', ns .. ':__heartbeats__', ns .. ':__recovery__'
local queues = redis.call('SMEMBERS', ns .. ':__queues__')
local released = 0

local told = {}
for i = 5, #ARGV do
  local worker = ARGV[i]
  local alive = redis.call('ZSCORE', workers_key, worker)
  if alive then
    redis.call('ZADD', workers_key, integer(now_ms), worker)
    redis.call('ZADD', heartbeats_key, integer(now_ms), worker)
    redis.call('HSET', ns .. ':__worker__.' .. worker, 'beaten_ms', integer(now_ms))
    redis.call('PEXPIRE', ns .. ':__worker__.' .. worker, info_ttl_ms)
  end
  local held = 0
  for _, queue in ipairs(queues) do held = held + redis.call('SCARD', acks_key(worker, queue)) end
  told[#told + 1] = alive and 1 or 0
  told[#told + 1] = held
  told[#told + 1] = redis.call('LPOP', ns .. ':__control__.' .. worker, TOLD_AT_ONCE) or {}
end

local recovery = redis.call('HMGET', recovery_key, 'checked_ms', 'grace_until_ms')
local checked_ms = tonumber(recovery[1])
if not checked_ms or now_ms - checked_ms >= interval_ms then
  redis.call('HSET', recovery_key, 'checked_ms', integer(now_ms))
  local grace_until_ms = tonumber(recovery[2] or '0')
  if not checked_ms or now_ms - checked_ms > timeout_ms then
    grace_until_ms = now_ms + timeout_ms
    redis.call('HSET', recovery_key, 'grace_until_ms', integer(grace_until_ms))
  end
  if now_ms >= grace_until_ms then
    for _, worker in ipairs(redis.call('ZRANGEBYSCORE', workers_key, '-inf', integer(now_ms - timeout_ms))) do
      released = released + release_worker(worker, true, at_us)
    end
    for _, worker in ipairs(redis.call('ZRANGEBYSCORE', heartbeats_key, '-inf', integer(now_ms - STOCK_MARGIN_MS))) do
      released = released + release_worker(worker, false, at_us)
    end
  end
  for _, worker in ipairs(redis.call('ZRANGE', ns .. ':__gone__', 0, -1)) do
    for _, queue in ipairs(queues) do return_landing(worker, queue) end
  end
  redis.call('ZREMRANGEBYSCORE', ns .. ':__gone__', '-inf', integer(now_ms - GONE_MARGIN_MS))
  for _, queue in ipairs(queues) do forget_dead_letters(queue, now_ms - dead_letter_ttl_ms) end
end

local next_due_ms
for _, queue in ipairs(queues) do
  take_over_delayed(queue, now_ms)
  local due_ms = promote(queue, now_ms)
  if due_ms and (not next_due_ms or due_ms < next_due_ms) then next_due_ms = due_ms end
end

local answer = {integer(at_us), next_due_ms and integer(next_due_ms) or '', released}
for i = 1, #told do answer[#answer + 1] = told[i] end
return answer
