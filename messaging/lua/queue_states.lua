#!lua flags=no-writes
-- queue_states: how every queue stands.
--
-- Answer: {now_us, then for each queue: name, waiting, in_flight, scheduled, dead, runnable, oldest_us or '',
--          starts in the last five full seconds, and its limits as a flat list}
-- runnable is how many of the waiting ones the rates, places and pause of the queue and, in a fair one, of its tenants
-- would let start now. Of a fair queue the first thousand tenants of a priority are looked at; others count as unlimited.
-- include: queues
-- include: lanes
local TENANTS_LOOKED_AT = 1000
local now = now_us()
local second = math.floor(now / 1000000)

local function enqueued_us(body)
  local us = string.match(body, '"enqueued_us":(%d+)')
  if us then return us end
  local ms = string.match(body, '"message_timestamp":%s*(%d+)')
  return ms and ms .. '000' or ''
end

local function oldest(key)
  local id = redis.call('LINDEX', key, 0)
  if id == TICKET then
    local earliest = ''
    for _, lane_key in ipairs({'i', 'b'}) do
      local tenant = redis.call('ZRANGE', key .. ':turns:' .. lane_key, 0, 0)[1] or redis.call('ZRANGE', key .. ':held:' .. lane_key, 0, 0)[1]
      local head = tenant and redis.call('LINDEX', key .. ':lane:' .. lane_key .. ':' .. tenant, 0)
      local body = head and redis.call('HGET', key .. '.msgs', head)
      local us = body and enqueued_us(body) or ''
      if us ~= '' and (earliest == '' or tonumber(us) < tonumber(earliest)) then earliest = us end
    end
    return earliest
  end
  local body = id and redis.call('HGET', key .. '.msgs', id)
  return body and enqueued_us(body) or ''
end

-- How many of a tenant's waiting messages its own limits hold up.
local function held_up(key, tenant, waiting, now)
  local step, tolerance, most = limits_of(key, tenant)
  local may = waiting
  if most then may = math.min(may, math.max(0, most - tonumber(redis.call('HGET', key .. ':tenant_in_flight', tenant) or '0'))) end
  if step then
    local tat = math.max(tonumber(redis.call('HGET', key .. ':tenant_tat', tenant) or '0'), now)
    may = math.min(may, math.max(0, math.floor((now + tolerance - tat) / step)))
  end
  return waiting - may
end

local function held_up_by_tenants(key)
  if redis.call('EXISTS', key .. ':tenant_limits') == 0 then return 0 end
  local waiting = {}
  for priority in pairs(SHARES) do
    for _, of in ipairs({':turns:', ':held:'}) do
      for _, tenant in ipairs(redis.call('ZRANGE', key .. of .. priority, 0, TENANTS_LOOKED_AT - 1)) do
        waiting[tenant] = (waiting[tenant] or 0) + redis.call('LLEN', key .. ':lane:' .. priority .. ':' .. tenant)
      end
    end
  end
  local total = 0
  for tenant, number in pairs(waiting) do total = total + held_up(key, tenant, number, now) end
  return total
end

local function runnable(key, waiting, in_flight)
  local l = redis.call('HMGET', key .. ':limits', 'paused', 'step_us', 'tolerance_us', 'max_in_flight', 'tat_us')
  if l[1] == '1' then return 0 end
  local most = math.max(0, waiting - held_up_by_tenants(key))
  if l[4] then most = math.min(most, math.max(0, l[4] - in_flight)) end
  if l[2] then
    local tat = math.max(tonumber(l[5] or '0'), now)
    most = math.min(most, math.max(0, math.floor((now + l[3] - tat) / l[2])))
  end
  return most
end

local answer = {integer(now)}
local queues = redis.call('SMEMBERS', ns .. ':__queues__')
table.sort(queues)
for _, queue in ipairs(queues) do
  local key = queue_key(queue)
  local waiting, in_flight = redis.call('LLEN', key), redis.call('HLEN', key .. ':deliveries')
  local starts = 0
  for back = 1, 5 do starts = starts + (redis.call('HGET', key .. ':starts', second - back) or 0) end
  answer[#answer + 1] = queue
  answer[#answer + 1] = waiting
  answer[#answer + 1] = in_flight
  answer[#answer + 1] = redis.call('ZCARD', key .. ':schedule')
  answer[#answer + 1] = redis.call('ZCARD', key .. '.XQ')
  answer[#answer + 1] = runnable(key, waiting, in_flight)
  answer[#answer + 1] = oldest(key)
  answer[#answer + 1] = starts
  answer[#answer + 1] = redis.call('HGETALL', key .. ':limits')
end
return answer
