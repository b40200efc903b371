-- Fragment: the queue keys, Redis's clock, and sending. Everything that spells a key of a queue is in this folder.
--
-- KEYS[1] of every script is the namespace, in braces so that a deployment is one slot of a cluster. Below it:
--   :<queue>                 list    ids that wait; its length is what queue-length scalers read
--   :<queue>.msgs            hash    id -> body, of those that wait or are being processed; so HLEN - LLEN is in flight
--   :<queue>:schedule        zset    id by due time, ms; bodies in :<queue>:schedule.msgs
--   :<queue>.XQ              zset    dead letters by time of death, ms; bodies in :<queue>.XQ.msgs, causes in :<queue>.XQ.causes
--   :<queue>.DQ              list    what stock Dramatiq processes delayed; taken over into the schedule
--   :<queue>:deliveries      hash    id -> token of the delivery that owns it now
--   :<queue>:crashes         hash    id -> "count|worker|fetched_us|lost_us" of deliveries that died with their worker
--   :__acks__.<worker>.<queue>     set   ids that this worker has fetched and not settled
--   :__landing__.<worker>.<queue>  list  an id on its way to this worker: the target of its blocking move
--   :__workers__             zset    living workers by last beat, ms of Redis's clock
--   :__gone__                zset    workers that left or died, for a while, by when
--   :__heartbeats__          zset    the same for dashboards made for Dramatiq; never read to judge our own
--   :__worker__.<worker>     hash    who that is; :__control__.<worker> list, what it is told
--   :__queues__              set     queues that somebody serves or has served
--   :__recovery__            hash    when dead workers were last looked for, and until when nobody is declared dead
--   :__sequence__            number  source of delivery tokens and of fresh message ids
local ns = KEYS[1]

local function now_us()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

local function integer(number)
  return string.format('%.0f', number)
end

local function queue_key(queue)
  return ns .. ':' .. queue
end

local function acks_key(worker, queue)
  return ns .. ':__acks__.' .. worker .. '.' .. queue
end

local function next_sequence()
  return redis.call('INCR', ns .. ':__sequence__')
end

local function enqueue(queue, id, body)
  local key = queue_key(queue)
  redis.call('HSET', key .. '.msgs', id, body)
  redis.call('RPUSH', key, id)
end

local function schedule(queue, id, body, due_ms)
  local key = queue_key(queue)
  redis.call('HSET', key .. ':schedule.msgs', id, body)
  redis.call('ZADD', key .. ':schedule', integer(due_ms), id)
end

local function unschedule(queue, id)
  local key = queue_key(queue)
  redis.call('ZREM', key .. ':schedule', id)
  redis.call('HDEL', key .. ':schedule.msgs', id)
end

-- A message in Dramatiq's encoding. `kwargs` is JSON text; names and ids are ours and need no escaping.
local function compose(queue, actor, id, kwargs, at_us)
  return '{"queue_name":"' .. queue .. '","actor_name":"' .. actor .. '","args":[],"kwargs":' .. kwargs
    .. ',"options":{"redis_message_id":"' .. id .. '","enqueued_us":' .. integer(at_us)
    .. '},"message_id":"' .. id .. '","message_timestamp":' .. integer(at_us / 1000) .. '}'
end

-- Enqueues a message with an id that is fresh, yet tells what it is for: `<purpose>~<number>`. Answers the id.
local function send(queue, actor, purpose, kwargs, at_us)
  local id = purpose .. '~' .. next_sequence()
  enqueue(queue, id, compose(queue, actor, id, kwargs, at_us))
  return id
end

local function send_later(queue, actor, purpose, kwargs, at_us, due_ms)
  local id = purpose .. '~' .. next_sequence()
  schedule(queue, id, compose(queue, actor, id, kwargs, at_us), due_ms)
  return id
end
