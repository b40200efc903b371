#!lua flags=allow-oom
-- fetch: hands this worker messages that can start now: as many as it has slots for, as the queue's rate and places allow,
-- in the order of arrival or, in a fair queue, by priority and tenant.
--
-- ARGV: worker, queue, room (how many it has a slot for)
-- Answer: {'unregistered'} if this worker is not among the living (it must register under a new id first), else
--         {'ok', now_us, waiting (how many are left), held_up_by, wait_ms, then for each message: id, token, crashes, body}
--   held_up_by is '' or why what is left cannot start now: 'paused', 'full' (no place), 'throttled' (by the rate, or all
--   tenants by theirs); then this worker is to wait for its bell, at most wait_ms. A rate gives each waiting worker a time
--   of its own, one token apart, so that they do not all come for one token.
-- Atomic: what it answers is in the worker's ack set and has a new delivery token, or is still in the queue. It may run
-- when memory is full: it adds only what the settling of a message frees again.
-- include: queues
-- include: ownership
-- include: lanes
local worker, queue, room = ARGV[1], ARGV[2], tonumber(ARGV[3])
local LONGEST_WAIT_US = 10000000
local FALLBACK_WAIT_MS = 1000

if not redis.call('ZSCORE', ns .. ':__workers__', worker) then return {'unregistered'} end

local key = queue_key(queue)
local landing = ns .. ':__landing__.' .. worker .. '.' .. queue
local now = now_us()
local l = redis.call('HMGET', key .. ':limits', 'paused', 'step_us', 'tolerance_us', 'max_in_flight', 'tat_us')
local step, tolerance, most = tonumber(l[2]), tonumber(l[3]), tonumber(l[4])
local tat = math.max(tonumber(l[5] or '0'), now)
local held_up_by, throttled_until = '', nil

local function may_start()
  if l[1] == '1' then
    held_up_by = 'paused'
  elseif most and redis.call('HLEN', key .. ':deliveries') >= most then
    held_up_by = 'full'
  elseif step and tat + step - now > tolerance then
    held_up_by, throttled_until = 'throttled', tat + step - tolerance
  else
    return true
  end
  return false
end

local answer = {'ok', integer(now), 0, '', 0}
local taken = 0
while taken < room and may_start() do
  local source = landing
  local id = redis.call('LINDEX', landing, 0)
  if not id then
    source = key
    id = redis.call('LINDEX', key, 0)
  end
  if not id then break end
  if id == TICKET then
    redis.call('LPOP', source)
    source = nil
    id, throttled_until = take_from_lanes(key, now)
    if not id then
      redis.call('LPUSH', key, TICKET)
      held_up_by = throttled_until == math.huge and 'full' or 'throttled'
      break
    end
  end
  local body = redis.call('HGET', key .. '.msgs', id)
  if body then
    local token = next_sequence()
    redis.call('HSET', key .. ':deliveries', id, token)
    redis.call('SADD', acks_key(worker, queue), id)
    answer[#answer + 1] = id
    answer[#answer + 1] = token
    answer[#answer + 1] = redis.call('HGET', key .. ':crashes', id) or ''
    answer[#answer + 1] = body
    taken = taken + 1
    if step then tat = tat + step end
  elseif not source then
    free_place(queue, id)
    redis.call('HDEL', key .. ':lane_of', id)
  end
  if source then redis.call('LPOP', source) end -- only now, so that it is never nowhere
end
if step and taken > 0 then
  redis.call('HSET', key .. ':limits', 'tat_us', integer(tat))
  -- What `queue list` shows as the share of the rate that is used.
  redis.call('HINCRBY', key .. ':starts', math.floor(now / 1000000), taken)
  redis.call('EXPIRE', key .. ':starts', 10)
end
return_landing(worker, queue)

local waiting = redis.call('LLEN', key)
answer[3] = waiting
-- Somebody who took the last token now wants to know when to come back.
if held_up_by == '' and waiting > 0 and taken > 0 then may_start() end
if held_up_by ~= '' and waiting > 0 then
  answer[4] = held_up_by
  if held_up_by == 'throttled' then
    local last = redis.call('ZREVRANGE', key .. ':timed', 0, 0, 'WITHSCORES')
    local apart = step or 0
    local mine = throttled_until
    if last[2] and last[1] ~= worker and tonumber(last[2]) >= now then mine = math.max(mine, tonumber(last[2]) + apart) end
    mine = math.min(mine, now + LONGEST_WAIT_US)
    redis.call('ZREMRANGEBYSCORE', key .. ':timed', '-inf', '(' .. integer(now))
    redis.call('ZADD', key .. ':timed', integer(mine), worker)
    answer[5] = math.max(1, math.ceil((mine - now) / 1000))
  else
    redis.call('LREM', key .. ':parked', 0, worker)
    redis.call('RPUSH', key .. ':parked', worker)
    answer[5] = FALLBACK_WAIT_MS
  end
else
  redis.call('ZREM', key .. ':timed', worker)
end
return answer
