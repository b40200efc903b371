-- Fragment: what was scheduled and is due goes to the tail of its queue. Needs queues.lua.

local PROMOTED_AT_ONCE = 200

-- Answers when the next one is due, ms, or nil.
local function promote(queue, now_ms)
  local key = queue_key(queue)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key .. ':schedule', '-inf', integer(now_ms), 'LIMIT', 0, PROMOTED_AT_ONCE)) do
    local body = redis.call('HGET', key .. ':schedule.msgs', id)
    if body then enqueue(queue, id, body) end
    unschedule(queue, id)
  end
  local first = redis.call('ZRANGE', key .. ':schedule', 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2]) or nil
end

-- What stock producers delayed lies in `<queue>.DQ`, with its due time inside the body.
local function take_over_delayed(queue, now_ms)
  local delayed = queue_key(queue) .. '.DQ'
  for _ = 1, PROMOTED_AT_ONCE do
    local id = redis.call('LINDEX', delayed, 0)
    if not id then return end
    local body = redis.call('HGET', delayed .. '.msgs', id)
    if body then
      local parsed, message = pcall(cjson.decode, body)
      local eta = parsed and type(message) == 'table' and type(message.options) == 'table' and tonumber(message.options.eta)
      schedule(queue, id, body, eta or now_ms)
      redis.call('HDEL', delayed .. '.msgs', id)
    end
    redis.call('LPOP', delayed)
  end
end
