#!lua flags=allow-oom
-- mend: finds messages that stand nowhere and would never start, and places that are counted for messages which nobody
-- holds, and puts both right. In a correct system there are none; a script that broke off may leave some, and so may a
-- hand in the keys.
--
-- ARGV: interval_ms
-- Answer: how many messages went back to their queues, and how many records of messages that are gone were dropped; both 0
--         if somebody has looked within the interval
-- While a queue's numbers agree, its ids are not looked at. What stock Dramatiq workers hold is theirs. A message goes back
-- when it is found the second time: whoever enqueues by plain Redis commands may be between two of them.
-- include: queues
-- include: ownership
-- include: lanes
local interval_ms = tonumber(ARGV[1])
local SUSPECT_MS = 60000
local REPLIES = 'reply.' -- upstream systems read these as they like, and may leave bodies where they are
local at_us = now_us()
local now_ms = math.floor(at_us / 1000)
local recovery_key = ns .. ':__recovery__'
local mended_ms = tonumber(redis.call('HGET', recovery_key, 'mended_ms') or '0')
if now_ms - mended_ms < interval_ms then return {0, 0} end
redis.call('HSET', recovery_key, 'mended_ms', integer(now_ms))
local suspects_key = ns .. ':__suspects__'
local suspects = {}
for _, suspect in ipairs(redis.call('SMEMBERS', suspects_key)) do suspects[suspect] = true end
redis.call('DEL', suspects_key)

local workers, seen = {}, {}
for _, set in ipairs({':__workers__', ':__heartbeats__', ':__gone__'}) do
  for _, worker in ipairs(redis.call('ZRANGE', ns .. set, 0, -1)) do
    if not seen[worker] then workers[#workers + 1] = worker end
    seen[worker] = true
  end
end

-- Whether there can be a message that stands nowhere, or a record of one that is gone.
local function disagree(queue)
  local key = queue_key(queue)
  local held, landing = 0, 0
  for _, worker in ipairs(workers) do
    held = held + redis.call('SCARD', acks_key(worker, queue))
    landing = landing + redis.call('LLEN', ns .. ':__landing__.' .. worker .. '.' .. queue)
  end
  local bodies, scheduled = redis.call('HLEN', key .. '.msgs'), redis.call('HLEN', key .. ':schedule.msgs')
  local placed = 0
  for _, places in ipairs(redis.call('HVALS', key .. ':tenant_in_flight')) do placed = placed + places end
  return bodies > redis.call('LLEN', key) + landing + held
    or redis.call('HLEN', key .. ':deliveries') > held
    or placed > held
    or scheduled > redis.call('ZCARD', key .. ':schedule')
    or redis.call('HLEN', key .. ':lane_of') > bodies + scheduled
    or redis.call('HLEN', key .. ':crashes') > bodies + scheduled
end

-- Where each message stands: the ids that wait, those that somebody holds, and how many tickets are short.
local function places(queue)
  local key = queue_key(queue)
  local waiting, held, tickets, in_lanes = {}, {}, 0, 0
  local function look(list)
    for _, id in ipairs(redis.call('LRANGE', list, 0, -1)) do
      if id == TICKET then tickets = tickets + 1 else waiting[id] = true end
    end
  end
  look(key)
  for _, worker in ipairs(workers) do
    look(ns .. ':__landing__.' .. worker .. '.' .. queue)
    for _, id in ipairs(redis.call('SMEMBERS', acks_key(worker, queue))) do held[id] = true end
  end
  for priority in pairs(SHARES) do
    for _, tenants in ipairs({':turns:', ':held:'}) do
      for _, tenant in ipairs(redis.call('ZRANGE', key .. tenants .. priority, 0, -1)) do
        for _, id in ipairs(redis.call('LRANGE', key .. ':lane:' .. priority .. ':' .. tenant, 0, -1)) do
          waiting[id] = true
          in_lanes = in_lanes + 1
        end
      end
    end
  end
  return waiting, held, in_lanes - tickets
end

-- What a queue's records say, is true of the messages that somebody holds.
local function mend_records(queue, held)
  local key = queue_key(queue)
  local dropped, in_flight = 0, {}
  for _, id in ipairs(redis.call('HKEYS', key .. ':deliveries')) do
    if not held[id] then
      redis.call('HDEL', key .. ':deliveries', id)
      dropped = dropped + 1
    else
      local lane = redis.call('HGET', key .. ':lane_of', id)
      if lane then in_flight[string.sub(lane, 3)] = (in_flight[string.sub(lane, 3)] or 0) + 1 end
    end
  end
  for _, tenant in ipairs(redis.call('HKEYS', key .. ':tenant_in_flight')) do
    if tonumber(redis.call('HGET', key .. ':tenant_in_flight', tenant)) > (in_flight[tenant] or 0) then
      redis.call('HSET', key .. ':tenant_in_flight', tenant, in_flight[tenant] or 0)
      for priority in pairs(SHARES) do redis.call('ZADD', key .. ':held:' .. priority, 'XX', 0, tenant) end
      dropped = dropped + 1
    end
  end
  for _, records in ipairs({':lane_of', ':crashes'}) do
    for _, id in ipairs(redis.call('HKEYS', key .. records)) do
      if redis.call('HEXISTS', key .. '.msgs', id) + redis.call('HEXISTS', key .. ':schedule.msgs', id) == 0 then
        redis.call('HDEL', key .. records, id)
        dropped = dropped + 1
      end
    end
  end
  return dropped
end

local function mend(queue)
  local key = queue_key(queue)
  local waiting, held, short = places(queue)
  local dropped = mend_records(queue, held)
  for _ = 1, short do redis.call('RPUSH', key, TICKET) end
  local back = 0
  for _, id in ipairs(redis.call('HKEYS', key .. '.msgs')) do
    if not waiting[id] and not held[id] then
      if suspects[queue .. '|' .. id] then
        put_waiting(queue, id, 'LPUSH')
        back = back + 1
      else
        redis.call('SADD', suspects_key, queue .. '|' .. id)
      end
    end
  end
  for _, id in ipairs(redis.call('HKEYS', key .. ':schedule.msgs')) do
    if not redis.call('ZSCORE', key .. ':schedule', id) then
      redis.call('ZADD', key .. ':schedule', integer(now_ms), id)
      back = back + 1
    end
  end
  if dropped > 0 then ring_parked(queue, dropped) end
  return back, dropped
end

local back, dropped = 0, 0
for _, queue in ipairs(redis.call('SMEMBERS', ns .. ':__queues__')) do
  if string.sub(queue, 1, #REPLIES) ~= REPLIES and disagree(queue) then
    local more_back, more_dropped = mend(queue)
    back, dropped = back + more_back, dropped + more_dropped
  end
end
redis.call('PEXPIRE', suspects_key, interval_ms + SUSPECT_MS)
if back + dropped > 0 then redis.call('HINCRBY', recovery_key, 'mended', back + dropped) end
return {back, dropped}
