-- Fragment: the queue keys, Redis's clock, and sending. Everything that spells a key of a queue is in this folder.
--
-- KEYS[1] of every script is the namespace, in braces so that a deployment is one slot of a cluster. Below it:
--   :<queue>                 list    what waits, one entry per message: its id or, in a fair queue, a ticket '*'; its length
--                                    is what queue-length scalers read
--   :<queue>.msgs            hash    id -> body, of those that wait or are being processed; so HLEN - LLEN is in flight
--   :<queue>:schedule        zset    id by due time, ms; bodies in :<queue>:schedule.msgs
--   :<queue>.XQ              zset    dead letters by time of death, ms; bodies in :<queue>.XQ.msgs, causes in :<queue>.XQ.causes
--   :<queue>.DQ              list    what stock Dramatiq processes delayed; taken over into the schedule
--   :<queue>:deliveries      hash    id -> token of the delivery that owns it now, "<number>@<fetched_us>"
--   :<queue>:crashes         hash    id -> "count|worker,fetched_us,lost_us|…" of deliveries that died with their worker,
--                                    the last few of them; "count/company|…" if it may only be tried in such company
--   :<queue>:limits          hash    set, paused, step_us, tolerance_us, max_in_flight, fair, and of the rate tat_us
--                                    and since when it holds messages up, throttled_us (permanent)
--   :<queue>:starts          hash    starts by second, while there is a rate; expires after ten quiet seconds
--   :<queue>:timed           zset    workers that the rate makes wait, each with its own time to come back, µs
--   :<queue>:parked          list    workers that wait for a place or for the end of a pause
--   :__wake__.<worker>.<queue> list  rings a worker that waits for another reason than an empty queue
-- and of a fair queue (fragments/lanes.lua), where p is a priority, i or b:
--   :<queue>:lane:<p>:<tenant> list  ids that wait; :<queue>:lane_of hash id -> "<p>:<tenant>"
--   :<queue>:turns:<p>       zset    tenants with waiting messages, by the virtual time at which the next one may start
--   :<queue>:rested:<p>      zset    tenants without, by the virtual time at which their last one ended
--   :<queue>:held:<p>        zset    tenants at a limit, by when they may go on, µs; :<queue>:held_turns:<p> hash their turns
--   :<queue>:clock           hash    virtual times: of p among its tenants, and share_<p> of p beside the other
--   :<queue>:tenant_limits   hash    tenant or '*' -> "step_us|tolerance_us|max_in_flight|weight" (permanent)
--   :<queue>:tenant_tat, :<queue>:tenant_in_flight   hash  tenant -> what these limits go by
--
--   :__acks__.<worker>.<queue>     set   ids that this worker has fetched and not settled
--   :__landing__.<worker>.<queue>  list  an id on its way to this worker: the target of its blocking move
--   :__workers__             zset    living workers by last beat, ms of Redis's clock
--   :__reads__               zset    living workers by the newest schema version that they read
--   :__gone__                zset    workers that left or died, for a while, by when
--   :__heartbeats__          zset    the same for dashboards made for Dramatiq; never read to judge our own
--   :__worker__.<worker>     hash    who that is; :__control__.<worker> list, what it is told
--   :__queues__              set     queues that somebody serves or has served
--   :__recovery__            hash    when dead workers were last looked for, and until when nobody is declared dead; when it
--                                    was last seen to that every message stands somewhere, and how many did not
--   :__suspects__            set     "<queue>|<id>" of messages that stood nowhere then; expires
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

-- The newest schema version that every living worker reads; nil if nobody has said so.
local function oldest_reader()
  return tonumber(redis.call('ZRANGE', ns .. ':__reads__', 0, 0, 'WITHSCORES')[2])
end

-- The first of `many` numbers in a row.
local function next_sequence(many)
  return redis.call('INCRBY', ns .. ':__sequence__', many or 1) - (many or 1) + 1
end

-- A command with more arguments than Lua can unpack at once goes out in parts; pairs stay together.
local MOST_ARGUMENTS = 4000
local function in_parts(command, key, values)
  for from = 1, #values, MOST_ARGUMENTS do
    redis.call(command, key, unpack(values, from, math.min(from + MOST_ARGUMENTS - 1, #values)))
  end
end

-- Quantum of virtual time that a message of weight 1 takes.
local QUANTUM = 1000000
local TICKET = '*'

-- The lane "<priority>:<tenant>" of a fair queue has a message again: its turn comes no earlier than others' now.
local function enter_lane(key, lane)
  local priority, tenant = string.sub(lane, 1, 1), string.sub(lane, 3)
  local turns = key .. ':turns:' .. priority
  if redis.call('ZSCORE', turns, tenant) or redis.call('ZSCORE', key .. ':held:' .. priority, tenant) then return end
  local clock = tonumber(redis.call('HGET', key .. ':clock', priority) or '0')
  local rested = tonumber(redis.call('ZSCORE', key .. ':rested:' .. priority, tenant) or '0')
  redis.call('ZADD', turns, integer(math.max(clock, rested)), tenant)
  redis.call('ZREM', key .. ':rested:' .. priority, tenant)
end

-- A message waits: at the tail, or at the head where it came from. In a fair queue the list holds a ticket in its place; it
-- comes first: fetch drops a ticket that stands for nothing, while a message without one would wait for another's.
local function put_waiting(queue, id, push)
  local key = queue_key(queue)
  local lane = redis.call('HGET', key .. ':lane_of', id)
  if lane then
    redis.call(push, key, TICKET)
    redis.call(push, key .. ':lane:' .. lane, id)
    enter_lane(key, lane)
  else
    redis.call(push, key, id)
  end
end

-- `lane` is "<priority>:<tenant>", for queues that are fair; nil keeps the one that the message has. The body comes last:
-- fetch passes over an id without one, but nobody would ever find a body without an id.
local function enqueue(queue, id, body, lane)
  local key = queue_key(queue)
  if lane and redis.call('HGET', key .. ':limits', 'fair') == '1' then
    redis.call('HSET', key .. ':lane_of', id, lane)
  end
  put_waiting(queue, id, 'RPUSH')
  redis.call('HSET', key .. '.msgs', id, body)
end

-- New messages, so none has a lane yet: ids, and ids with their bodies in turn; all in one `lane`, or nil.
local function enqueue_new(queue, ids, bodies, lane)
  local key = queue_key(queue)
  if lane and redis.call('HGET', key .. ':limits', 'fair') == '1' then
    for _, id in ipairs(ids) do
      redis.call('HSET', key .. ':lane_of', id, lane)
      put_waiting(queue, id, 'RPUSH')
    end
  else
    in_parts('RPUSH', key, ids)
  end
  in_parts('HSET', key .. '.msgs', bodies)
end

-- Rings workers that wait in `parked`, at most so many.
local function ring_parked(queue, most)
  for _ = 1, most do
    local worker = redis.call('LPOP', queue_key(queue) .. ':parked')
    if not worker then return end
    local bell = ns .. ':__wake__.' .. worker .. '.' .. queue
    redis.call('RPUSH', bell, 1)
    redis.call('EXPIRE', bell, 10)
  end
end

-- The body last, as in `enqueue`.
local function schedule(queue, id, body, due_ms)
  local key = queue_key(queue)
  redis.call('ZADD', key .. ':schedule', integer(math.floor(due_ms)), id)
  redis.call('HSET', key .. ':schedule.msgs', id, body)
end

local function unschedule(queue, id)
  local key = queue_key(queue)
  redis.call('HDEL', key .. ':schedule.msgs', id)
  redis.call('ZREM', key .. ':schedule', id)
end

-- A message that shall not come any more, with all that is kept of it.
local function drop_scheduled(queue, id)
  unschedule(queue, id)
  redis.call('HDEL', queue_key(queue) .. ':crashes', id)
  redis.call('HDEL', queue_key(queue) .. ':lane_of', id)
end

-- A message in Dramatiq's encoding. `kwargs` is JSON text; names and ids are ours and need no escaping.
local function compose(queue, actor, id, kwargs, at_us)
  return '{"queue_name":"' .. queue .. '","actor_name":"' .. actor .. '","args":[],"kwargs":' .. kwargs
    .. ',"options":{"redis_message_id":"' .. id .. '","enqueued_us":' .. integer(at_us)
    .. '},"message_id":"' .. id .. '","message_timestamp":' .. integer(at_us / 1000) .. '}'
end

-- Enqueues a message with an id that is fresh, yet tells what it is for: `<purpose>~<number>`. Answers the id.
local function send(queue, actor, purpose, kwargs, at_us, lane)
  local id = purpose .. '~' .. next_sequence()
  enqueue_new(queue, {id}, {id, compose(queue, actor, id, kwargs, at_us)}, lane)
  return id
end

local function send_later(queue, actor, purpose, kwargs, at_us, due_ms)
  local id = purpose .. '~' .. next_sequence()
  schedule(queue, id, compose(queue, actor, id, kwargs, at_us), due_ms)
  return id
end
