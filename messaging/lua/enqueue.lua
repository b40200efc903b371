#!lua
-- enqueue: adds messages, at once or for later. Refused when memory is full.
--
-- ARGV: lane in fair queues ("<priority>:<tenant>") or '', then for each message: queue, id, body, delay_ms ('' for at once)
-- Answer: how many were added (an id that is already there is left alone)
-- include: queues
local added = 0
local lane = ARGV[1] ~= '' and ARGV[1] or nil
for i = 2, #ARGV, 4 do
  local queue, id, body, delay_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local key = queue_key(queue)
  if redis.call('HEXISTS', key .. '.msgs', id) == 0 and redis.call('HEXISTS', key .. ':schedule.msgs', id) == 0 then
    redis.call('SADD', ns .. ':__queues__', queue)
    if delay_ms == '' then
      enqueue(queue, id, body, lane)
    else
      schedule(queue, id, body, now_us() / 1000 + delay_ms)
    end
    added = added + 1
  end
end
return added
