-- Fragment: which message of a fair queue is next. Needs queues.lua.
--
-- Two priorities share the queue nine to one where both have work, and tenants of a priority share it by weight: start-time
-- fair queueing (Goyal, Vin, Cheng 1996). A tenant's turn is the virtual time at which its next message may start; the
-- smallest is served, and moves on by a quantum divided by its weight. A tenant at a limit of its own is held aside with its
-- turn, so that it holds up nobody, and comes back when its time has come or a place is free.
local SHARES = {i = 9, b = 1}

local function limits_of(key, tenant)
  local limits = redis.call('HMGET', key .. ':tenant_limits', tenant, '*')
  local text = limits[1] or limits[2]
  if not text then return nil, nil, nil, 1 end
  local step, tolerance, most, weight = string.match(text, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)$')
  return tonumber(step), tonumber(tolerance), tonumber(most), tonumber(weight) or 1
end

-- Until when a tenant has to wait, µs: nil for not at all, math.huge for a place.
local function tenant_waits(key, tenant, step, tolerance, most, now)
  if most and tonumber(redis.call('HGET', key .. ':tenant_in_flight', tenant) or '0') >= most then return math.huge end
  if step then
    local tat = math.max(tonumber(redis.call('HGET', key .. ':tenant_tat', tenant) or '0'), now)
    if tat + step - now > tolerance then return tat + step - tolerance end
  end
  return nil
end

local function release_held(key, priority, now)
  local held = key .. ':held:' .. priority
  for _, tenant in ipairs(redis.call('ZRANGEBYSCORE', held, '-inf', integer(now), 'LIMIT', 0, 100)) do
    local turn = tonumber(redis.call('HGET', key .. ':held_turns:' .. priority, tenant) or '0')
    local clock = tonumber(redis.call('HGET', key .. ':clock', priority) or '0')
    redis.call('ZADD', key .. ':turns:' .. priority, integer(math.max(turn, clock)), tenant)
    redis.call('HDEL', key .. ':held_turns:' .. priority, tenant)
    redis.call('ZREM', held, tenant)
  end
end

-- The next tenant of a priority that may go on, its next id, its turn and its limits; those at a limit are held aside on the
-- way, and those that have nothing, which is what a script that failed may leave behind, are taken out.
local function next_tenant(key, priority, now)
  release_held(key, priority, now)
  while true do
    local first = redis.call('ZRANGE', key .. ':turns:' .. priority, 0, 0, 'WITHSCORES')
    local tenant = first[1]
    if not tenant then return nil end
    local step, tolerance, most, weight = limits_of(key, tenant)
    local until_us = tenant_waits(key, tenant, step, tolerance, most, now)
    local id = not until_us and redis.call('LINDEX', key .. ':lane:' .. priority .. ':' .. tenant, 0)
    if id then
      return {priority = priority, tenant = tenant, id = id, turn = tonumber(first[2]), step = step, weight = weight}
    end
    if until_us then
      redis.call('ZADD', key .. ':held:' .. priority, until_us == math.huge and '+inf' or integer(until_us), tenant)
      redis.call('HSET', key .. ':held_turns:' .. priority, tenant, first[2])
    end
    redis.call('ZREM', key .. ':turns:' .. priority, tenant)
  end
end

-- When some tenant that is held aside may go on, µs (math.huge: when a place is free); nil if there is none.
local function held_until(key)
  local earliest
  for priority in pairs(SHARES) do
    local held = redis.call('ZRANGE', key .. ':held:' .. priority, 0, 0, 'WITHSCORES')
    if held[2] then earliest = math.min(earliest or math.huge, held[2] == 'inf' and math.huge or tonumber(held[2])) end
  end
  return earliest
end

-- The message whose turn it is, which stays where it is until `serve`; or nil, and what `held_until` answers.
local function choose_from_lanes(key, now)
  local interactive, batch = next_tenant(key, 'i', now), next_tenant(key, 'b', now)
  if not interactive and not batch then return nil, held_until(key) end
  local shares = redis.call('HMGET', key .. ':clock', 'share_i', 'share_b')
  local share = {i = tonumber(shares[1] or '0'), b = tonumber(shares[2] or '0')}
  local choice = interactive or batch
  if interactive and batch and share.b < share.i then choice = batch end
  -- A priority that had nothing to do gathers no claim on the past.
  local other = choice.priority == 'i' and 'b' or 'i'
  if not (interactive and batch) then share[other] = math.max(share[other], share[choice.priority]) end
  share[choice.priority] = share[choice.priority] + QUANTUM / SHARES[choice.priority]
  choice.share = share
  return choice
end

-- The chosen message leaves its lane, and `ticket` the list it is the first of; only now, when it is owned, so that it is
-- never nowhere. Then its tenant's turn moves on.
local function serve(key, choice, ticket)
  local priority, tenant = choice.priority, choice.tenant
  local lane = key .. ':lane:' .. priority .. ':' .. tenant
  redis.call('LPOP', lane)
  redis.call('LPOP', ticket)
  local finish = choice.turn + QUANTUM / choice.weight
  redis.call('HSET', key .. ':clock', priority, integer(choice.turn), 'share_i', integer(choice.share.i), 'share_b',
    integer(choice.share.b))
  if redis.call('EXISTS', lane) == 1 then
    redis.call('ZADD', key .. ':turns:' .. priority, integer(finish), tenant)
  else
    redis.call('ZADD', key .. ':rested:' .. priority, integer(finish), tenant)
    redis.call('ZREM', key .. ':turns:' .. priority, tenant)
    redis.call('ZREMRANGEBYSCORE', key .. ':rested:' .. priority, '-inf', integer(choice.turn))
  end
end

-- The tenant's limits take note of one more that starts.
local function charge(key, choice, now)
  redis.call('HINCRBY', key .. ':tenant_in_flight', choice.tenant, 1)
  if choice.step then
    local tat = math.max(tonumber(redis.call('HGET', key .. ':tenant_tat', choice.tenant) or '0'), now)
    redis.call('HSET', key .. ':tenant_tat', choice.tenant, integer(tat + choice.step))
  end
end
