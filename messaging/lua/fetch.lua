#!lua flags=allow-oom
-- fetch: hands this worker messages that can start now: as many as it has slots for, as the queue's rate and places allow,
-- in the order of arrival or, in a fair queue, by priority and tenant.
--
-- ARGV: worker, queue, room (how many it has a slot for)
-- Answer: {'unregistered'} if this worker is not among the living (it must register under a new id first), else
--         {'ok', now_us, waiting (how many are left), held_up_by, wait_ms, throttled, then for each message: id, token,
--          crashes, body}
--   throttled is '' or 'since_us|allowed_us|step_us': since when the rate has held messages up, when it allowed the first of
--   these, and how far apart it allows the next ones
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
-- By how much whoever waits comes late, as a share of the time between two tokens, and at most: with that in their times,
-- those behind do not come too early, one after the other.
local USUAL_DELAY, LONGEST_USUAL_DELAY_US = 0.005, 2000
local FALLBACK_WAIT_MS = 1000
local AT_ONCE = 1000
-- A fetch passes over so many messages that it has to set aside before it gives up.
local LOOKS_AT_ASIDE = 1000

if not redis.call('ZSCORE', ns .. ':__workers__', worker) then return {'unregistered'} end

local key = queue_key(queue)
local landing = ns .. ':__landing__.' .. worker .. '.' .. queue
local now = now_us()
local l = redis.call('HMGET', key .. ':limits', 'paused', 'step_us', 'tolerance_us', 'max_in_flight', 'tat_us',
  'throttled_us')
local step, tolerance, most = tonumber(l[2]), tonumber(l[3]), tonumber(l[4])
local tat = math.max(tonumber(l[5] or '0'), now)
local held_up_by, throttled_until = '', nil

-- How many more can start now, at most `wanted`; 0 says in held_up_by why.
local function startable(wanted)
  local most_now = wanted
  if l[1] == '1' then
    held_up_by, most_now = 'paused', 0
  elseif most then
    most_now = math.min(most_now, math.max(0, most - redis.call('HLEN', key .. ':deliveries')))
    if most_now == 0 then held_up_by = 'full' end
  end
  if most_now > 0 and step then
    most_now = math.min(most_now, math.max(0, math.floor((tolerance + now - tat) / step)))
    if most_now == 0 then held_up_by, throttled_until = 'throttled', tat + step - tolerance end
  end
  return most_now
end

-- What is first in a list: as many ids as may start, or the one whose turn it is where the first is a ticket, and why.
local function look(source, most_now)
  local ids = redis.call('LRANGE', source, 0, most_now - 1)
  if ids[1] ~= TICKET then
    for i = 2, #ids do
      if ids[i] == TICKET then
        for j = #ids, i, -1 do ids[j] = nil end
        break
      end
    end
    return ids
  end
  local choice
  choice, throttled_until = choose_from_lanes(key, now)
  if choice then return {choice.id}, choice end
  if throttled_until then
    held_up_by = throttled_until == math.huge and 'full' or 'throttled'
    return {}
  end
  redis.call('LPOP', source) -- a script that failed has left a ticket that stands for nothing
  return look(source, most_now)
end

-- Of messages that died at their last chance, beside others at theirs, a worker gets only as many at a time as may be in
-- one company: whether this one would be too many.
local in_company, smallest
local function is_too_many(crashes)
  local company = crashes and tonumber(string.match(crashes, '^%d+/(%d+)'))
  if not company then return false end
  if not in_company then in_company, smallest = select(2, last_chances(worker)) end
  if in_company >= math.min(company, smallest) then return true end
  in_company, smallest = in_company + 1, math.min(company, smallest)
  return false
end

-- Hands over those that have a body and are not too many. Answers how many, how many of these were not in flight already,
-- and those that were set aside.
local function deliver(ids, answer)
  local bodies = redis.call('HMGET', key .. '.msgs', unpack(ids))
  local crashes = redis.call('HMGET', key .. ':crashes', unpack(ids))
  local found, tokens, aside = {}, {}, {}
  for i, id in ipairs(ids) do
    if bodies[i] and is_too_many(crashes[i]) then
      aside[#aside + 1] = id
      bodies[i] = false
    elseif bodies[i] then
      found[#found + 1] = id
    end
  end
  if #found == 0 then return 0, 0, aside end
  local first = next_sequence(#found)
  for i, id in ipairs(found) do
    tokens[2 * i - 1], tokens[2 * i] = id, integer(first + i - 1) .. '@' .. integer(now)
  end
  local new = redis.call('HSET', key .. ':deliveries', unpack(tokens))
  redis.call('SADD', acks_key(worker, queue), unpack(found))
  local at = 0
  for i, id in ipairs(ids) do
    if bodies[i] then
      at = at + 1
      answer[#answer + 1] = id
      answer[#answer + 1] = tokens[2 * at]
      answer[#answer + 1] = crashes[i] or ''
      answer[#answer + 1] = bodies[i]
    end
  end
  return #found, new, aside
end

local answer = {'ok', integer(now), 0, '', 0, ''}
if step and l[6] then answer[6] = l[6] .. '|' .. integer(tonumber(l[5]) + step - tolerance) .. '|' .. integer(step) end
local taken, set_aside = 0, 0
local source = landing
while taken < room do
  local most_now = startable(math.min(room - taken, AT_ONCE))
  if most_now == 0 then break end
  local ids, choice = look(source, most_now)
  if #ids > 0 then
    local delivered, new, aside = deliver(ids, answer)
    taken, set_aside = taken + delivered, set_aside + #aside
    if step then tat = tat + step * delivered end
    if choice then
      serve(key, choice, source)
      if new == 1 then charge(key, choice, now) end
      if delivered + #aside == 0 then redis.call('HDEL', key .. ':lane_of', choice.id) end
    else
      redis.call('LPOP', source, #ids) -- only now, so that it is never nowhere
    end
    -- To the tail, where they are in nobody's way.
    for _, id in ipairs(aside) do put_waiting(queue, id, 'RPUSH') end
    if #aside > 0 and delivered == 0 and set_aside >= math.min(LOOKS_AT_ASIDE, redis.call('LLEN', key)) then
      held_up_by = 'full'
      break
    end
  elseif held_up_by ~= '' or source == key then
    break
  else
    source = key -- nothing has landed
  end
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
if held_up_by == '' and waiting > 0 and taken > 0 then startable(1) end
if held_up_by ~= '' and waiting > 0 then
  answer[4] = held_up_by
  if held_up_by == 'throttled' then
    local timed = key .. ':timed'
    local last, promised = redis.call('ZREVRANGE', timed, 0, 0, 'WITHSCORES'), redis.call('ZSCORE', timed, worker)
    local mine = throttled_until
    if taken == 0 and promised then redis.call('ZREM', timed, worker) end
    if taken == 0 and promised and redis.call('ZCOUNT', timed, integer(now), integer(mine)) == 0 then
      -- It came before its token, since those before it were a little late: its turn is not over.
      mine = math.max(mine, tonumber(promised))
    elseif last[2] and last[1] ~= worker and tonumber(last[2]) >= now then
      local apart = step or 0
      mine = math.max(mine, tonumber(last[2]) + apart + math.min(apart * USUAL_DELAY, LONGEST_USUAL_DELAY_US))
    end
    mine = math.min(mine, now + LONGEST_WAIT_US)
    redis.call('ZREMRANGEBYSCORE', timed, '-inf', '(' .. integer(now))
    redis.call('ZADD', timed, integer(mine), worker)
    answer[5] = math.max(1, math.ceil((mine - now) / 1000))
  else
    redis.call('LREM', key .. ':parked', 0, worker)
    redis.call('RPUSH', key .. ':parked', worker)
    answer[5] = FALLBACK_WAIT_MS
  end
else
  redis.call('ZREM', key .. ':timed', worker)
end
if step then
  local throttled = answer[4] == 'throttled'
  if throttled and not l[6] then redis.call('HSET', key .. ':limits', 'throttled_us', integer(now)) end
  if l[6] and not throttled then redis.call('HDEL', key .. ':limits', 'throttled_us') end
end
return answer
