-- Fragment: who owns a message, and how ownership ends. Needs queues.lua.
--
-- A step script tests `owns` before its first write and calls `acknowledge` as its last: Redis does not roll back, and a
-- script that fails in the middle must leave the message owned, so that it is delivered again.

-- The token tells the delivery, and so the worker: no two deliveries ever have the same, and it goes before the ack set's
-- entry does.
local function owns(queue, id, token)
  return redis.call('HGET', queue_key(queue) .. ':deliveries', id) == token
end

-- The place in flight becomes free. Answers the message's lane, if it has one. Comes before the delivery goes: a place that
-- is counted as free too early is right again once the tenant has none, one that is counted for ever is not.
local function free_place(queue, id)
  local key = queue_key(queue)
  local lane = redis.call('HGET', key .. ':lane_of', id)
  if lane and redis.call('HEXISTS', key .. ':deliveries', id) == 1 then
    local tenant = string.sub(lane, 3)
    if redis.call('HINCRBY', key .. ':tenant_in_flight', tenant, -1) <= 0 then
      redis.call('HDEL', key .. ':tenant_in_flight', tenant)
    end
    -- A tenant that waits for a place (and not for a time) may go on.
    for _, priority in ipairs({'i', 'b'}) do
      if redis.call('ZSCORE', key .. ':held:' .. priority, tenant) == 'inf' then
        redis.call('ZADD', key .. ':held:' .. priority, 0, tenant)
      end
    end
  end
  ring_parked(queue, 1)
  return lane
end

-- The worker's ack set comes last: what is in it is found again when the worker reconciles or dies.
local function forget_delivery(worker, queue, id)
  free_place(queue, id)
  redis.call('HDEL', queue_key(queue) .. ':deliveries', id)
  redis.call('SREM', acks_key(worker, queue), id)
end

local function acknowledge(worker, queue, id)
  local key = queue_key(queue)
  local lane = free_place(queue, id)
  if lane then redis.call('HDEL', key .. ':lane_of', id) end
  redis.call('HDEL', key .. '.msgs', id)
  redis.call('HDEL', key .. ':crashes', id)
  redis.call('HDEL', key .. ':deliveries', id)
  redis.call('SREM', acks_key(worker, queue), id)
end

-- Back to the head of its queue, where it came from; it is forgotten here only when it is there.
local function give_back(worker, queue, id)
  if redis.call('HEXISTS', queue_key(queue) .. '.msgs', id) == 1 then
    put_waiting(queue, id, 'LPUSH')
  end
  forget_delivery(worker, queue, id)
end

-- What a worker holds, the last delivery first, so that what goes back to the head keeps its order.
local function held_last_first(worker, queue)
  local ids, tokens = redis.call('SMEMBERS', acks_key(worker, queue)), {}
  for _, id in ipairs(ids) do
    tokens[id] = tonumber(string.match(redis.call('HGET', queue_key(queue) .. ':deliveries', id) or '0', '^%d+'))
  end
  table.sort(ids, function(one, other) return tokens[one] > tokens[other] end)
  return ids
end

-- Into the schedule under the same id: a move, so an id is never in two places.
local function postpone(worker, queue, id, due_ms)
  local key = queue_key(queue)
  local body = redis.call('HGET', key .. '.msgs', id)
  if body then
    schedule(queue, id, body, due_ms)
    redis.call('HDEL', key .. '.msgs', id)
  end
  forget_delivery(worker, queue, id)
end

-- Among the dead letters, with the cause as JSON text.
local function bury(worker, queue, id, cause, at_us)
  local key = queue_key(queue)
  local body = redis.call('HGET', key .. '.msgs', id)
  if body then
    redis.call('ZADD', key .. '.XQ', integer(at_us / 1000), id)
    redis.call('HSET', key .. '.XQ.msgs', id, body)
    redis.call('HSET', key .. '.XQ.causes', id, cause)
  end
  acknowledge(worker, queue, id)
end

-- Dead letters from before a time leave, the oldest first, not too many at once.
local function forget_dead_letters(queue, before_ms)
  local key = queue_key(queue)
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', key .. '.XQ', '-inf', integer(before_ms), 'LIMIT', 0, 100)) do
    redis.call('HDEL', key .. '.XQ.msgs', old)
    redis.call('HDEL', key .. '.XQ.causes', old)
    redis.call('ZREM', key .. '.XQ', old)
  end
end

-- Deliveries that ended with their worker. Which of the messages that a worker held has killed it, nobody knows. One that
-- has died twice is at its last chance: the third time counts only if no other of that kind died with it. Those that died
-- together are tried again in smaller company, the square root of how many they were, until one of them dies alone.
local LAST_CHANCE = 2 -- one less than MAX_CRASHES of queue_commands
local CRASHES_KEPT = 5

-- Of a message: how many of its deliveries count, how many like it a worker may hold (nil: any number), and what is kept.
local function crashes_of(queue, id)
  local text = redis.call('HGET', queue_key(queue) .. ':crashes', id) or '0'
  local count, company, kept = string.match(text, '^(%d+)/?(%d*)(.*)$')
  return tonumber(count), tonumber(company), kept
end

-- How many messages at their last chance a worker holds, how many of these may have a certain company only, and which.
local function last_chances(worker)
  local all, in_company, smallest = 0, 0, math.huge
  for _, queue in ipairs(redis.call('SMEMBERS', ns .. ':__queues__')) do
    for _, id in ipairs(redis.call('SMEMBERS', acks_key(worker, queue))) do
      local count, company = crashes_of(queue, id)
      if count == LAST_CHANCE then
        all = all + 1
        if company then in_company, smallest = in_company + 1, math.min(smallest, company) end
      end
    end
  end
  return all, in_company, smallest
end

-- One more delivery that ended with its worker, which held so many at their last chance, this one included, and of these
-- so many whose company is limited. The circumstances of the last few are kept.
local function count_crash(queue, id, worker, at_us, all, in_company)
  local key = queue_key(queue)
  local count, company, kept = crashes_of(queue, id)
  local died_with = company and in_company or all
  if count == LAST_CHANCE and died_with > 1 then
    company = math.floor(math.sqrt(died_with))
  else
    count, company = count + 1, nil
  end
  local fetched_us = string.match(redis.call('HGET', key .. ':deliveries', id) or '', '@(%d+)$') or '0'
  if select(2, string.gsub(kept, '|', '')) >= CRASHES_KEPT then kept = string.gsub(kept, '^|[^|]*', '') end
  local counted = company and count .. '/' .. company or count
  redis.call('HSET', key .. ':crashes', id, counted .. kept .. '|' .. worker .. ',' .. fetched_us .. ',' .. integer(at_us))
end

local function return_landing(worker, queue)
  while redis.call('LMOVE', ns .. ':__landing__.' .. worker .. '.' .. queue, queue_key(queue), 'RIGHT', 'LEFT') do end
end

-- Everything a worker holds goes back; `counted` where its process died with it. It stays among the gone for a while,
-- since a blocking move that it had begun may still be served.
local function release_worker(worker, counted, at_us)
  local released, all, in_company = 0, 0, 0
  if counted then all, in_company = last_chances(worker) end
  for _, queue in ipairs(redis.call('SMEMBERS', ns .. ':__queues__')) do
    for _, id in ipairs(held_last_first(worker, queue)) do
      if counted and redis.call('HEXISTS', queue_key(queue) .. '.msgs', id) == 1 then
        count_crash(queue, id, worker, at_us, all, in_company)
      end
      give_back(worker, queue, id)
      released = released + 1
    end
    return_landing(worker, queue)
  end
  redis.call('ZADD', ns .. ':__gone__', integer(at_us / 1000), worker)
  for _, queue in ipairs(redis.call('SMEMBERS', ns .. ':__queues__')) do
    redis.call('ZREM', queue_key(queue) .. ':timed', worker)
    redis.call('LREM', queue_key(queue) .. ':parked', 0, worker)
  end
  redis.call('ZREM', ns .. ':__workers__', worker)
  redis.call('ZREM', ns .. ':__heartbeats__', worker)
  redis.call('ZREM', ns .. ':__reads__', worker)
  redis.call('DEL', ns .. ':__worker__.' .. worker, ns .. ':__control__.' .. worker)
  return released
end
