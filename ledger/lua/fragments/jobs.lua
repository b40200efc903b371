-- Fragment: the ledger's keys, and the steps that several scripts share. Needs queues.lua and ownership.lua.
--
-- Below the namespace (KEYS[1]); <job> and <conversation> are ids:
--   :job:<job>               hash    the record; fields below. Expires `retention_ms` after the job's end, like all of a job
--   :job:<job>:calls         hash    per call "<turn>/<index>:" and then tool, pool, effect, timeout_ms, arguments,
--                                    tool_call_id (JSON), message, claim, attempt, outcome, content (JSON), stored
--   :job:<job>:events        stream  what happened: type, at (µs), data (JSON object)
--   :job:<job>:messages      list    messages of a job that waits for its conversation
--   :job:<job>:result:<t>/<i> string a result that is too large for the model
--   :conversation:<id>           hash    tenant, running (job id or ''), last_job, retention_ms
--   :conversation:<id>:messages  list    the conversation, append-only, JSON
--   :conversation:<id>:waiting   list    jobs that wait for it, in order
--   :idempotency:<digest>    string  "<job>|<digest of the body>"
--   :jobs                    zset    job by time of acceptance, ms; entries of expired jobs leave when met (permanent)
--   :jobs:active             zset    job by deadline, ms, until it ends (permanent)
--   :feed                    stream  what has ended, capped: job, what ('turn' or 'job'), turn, accepted (µs), sequence
--                                    (permanent); readers and what they have lost: fragments/feed.lua
--   :counters                hash    refused and repaired things (permanent)
--
-- Fields of a record: state, spec (JSON), caller (JSON), tenant, conversation, accepted_us, deadline_ms, ended_us,
-- turn, phase ('queued', 'model', 'calls' or ''), turn_message, turn_claim, turn_attempt, calls_in_turn, open, calls_used,
-- prompt_tokens, completion_tokens, answer, finish_reason, error (all three JSON), model, metadata (JSON), reply_queue, reply_actor, expiry_message, idempotency,
-- retention_ms, trace (32 hexadecimal digits), previous ("<job>|<trace>" of the job before it in its conversation), lane ("<priority>:<tenant>").
local ORCHESTRATOR = 'orchestrator'
local SCHEMA_VERSION = 1 -- the newest that this code writes; see written_version
local FEED_LENGTH = 100000
local REPLY_QUEUE_LENGTH = 10000

local function job_key(job) return ns .. ':job:' .. job end
local function conversation_key(conversation) return ns .. ':conversation:' .. conversation end
local function call_prefix(turn, index) return turn .. '/' .. index .. ':' end

-- In which version something is written: during an upgrade, the newest one that every living process reads.
local function written_version()
  return math.min(SCHEMA_VERSION, oldest_reader() or SCHEMA_VERSION)
end

local function has_ended(state)
  return not state or (state ~= 'waiting' and state ~= 'running')
end

local function count(counter, by)
  redis.call('HINCRBY', ns .. ':counters', counter, by or 1)
end

local function record_event(job, type, at_us, data)
  redis.call('XADD', job_key(job) .. ':events', '*', 'type', type, 'at', integer(at_us), 'data', data)
end

local function announce(job, what, turn, accepted_us)
  local sequence = redis.call('INCR', ns .. ':feed:sequence')
  redis.call('XADD', ns .. ':feed', 'MAXLEN', '~', FEED_LENGTH, '*', 'job', job, 'what', what, 'turn', turn,
    'accepted', accepted_us or 0, 'sequence', sequence)
end

-- The lane of a job's messages in fair queues: its priority and tenant.
local function lane_of(job)
  return redis.call('HGET', job_key(job), 'lane') or nil
end

local function send_turn(job, turn, at_us, lane)
  local kwargs = '{"schema_version":' .. written_version() .. ',"job_id":"' .. job .. '","turn":' .. turn .. '}'
  local id = send(ORCHESTRATOR, 'take_turn', job .. '/' .. turn, kwargs, at_us, lane or lane_of(job))
  redis.call('HSET', job_key(job), 'state', 'running', 'turn', turn, 'phase', 'queued', 'turn_message', id, 'turn_attempt', 0,
    'turn_claim', '')
end

-- `calls` are tables with index and pool; each becomes a message.
local function send_calls(job, turn, calls, at_us, lane)
  if #calls == 0 then return end
  local sequence, version = next_sequence(#calls), written_version()
  local by_pool, pools, fields = {}, {}, {}
  for i, call in ipairs(calls) do
    local pool = by_pool[call.pool]
    if not pool then
      pool = {ids = {}, bodies = {}}
      by_pool[call.pool] = pool
      pools[#pools + 1] = call.pool
    end
    local id = job .. '/' .. turn .. '/' .. call.index .. '~' .. integer(sequence + i - 1)
    local kwargs = '{"schema_version":' .. version .. ',"job_id":"' .. job .. '","turn":' .. turn .. ',"index":' .. call.index .. '}'
    pool.ids[#pool.ids + 1] = id
    pool.bodies[#pool.bodies + 1] = id
    pool.bodies[#pool.bodies + 1] = compose(call.pool, 'perform_tool_call', id, kwargs, at_us)
    fields[#fields + 1] = call_prefix(turn, call.index) .. 'message'
    fields[#fields + 1] = id
  end
  in_parts('HSET', job_key(job) .. ':calls', fields)
  for _, pool in ipairs(pools) do enqueue_new(pool, by_pool[pool].ids, by_pool[pool].bodies, lane) end
end

-- The job takes over its conversation: its messages are appended, its first turn is sent.
local function start_job(job, conversation, messages, at_us, lane)
  local key = conversation_key(conversation)
  in_parts('RPUSH', key .. ':messages', messages)
  redis.call('HSET', key, 'running', job)
  send_turn(job, 1, at_us, lane)
end

-- The tool messages of a turn, in the order of its calls, whoever answered them and whenever; all of them or none. There
-- are at most 1,000 calls in a turn, and Lua unpacks 8,000 values. Answers when the job was accepted.
local function append_tool_messages(job, turn)
  local record = redis.call('HMGET', job_key(job), 'conversation', 'calls_in_turn', 'accepted_us')
  local calls, messages = job_key(job) .. ':calls', {}
  for index = 0, tonumber(record[2]) - 1 do
    local prefix = call_prefix(turn, index)
    local call = redis.call('HMGET', calls, prefix .. 'tool_call_id', prefix .. 'content')
    messages[#messages + 1] = '{"role":"tool","tool_call_id":' .. call[1] .. ',"content":' .. call[2] .. '}'
  end
  if #messages > 0 then redis.call('RPUSH', conversation_key(record[1]) .. ':messages', unpack(messages)) end
  return record[3]
end

-- No call of the turn is open any more: the continuation goes out. The phase is the flag that lets this happen once.
local function close_turn(job, turn, at_us)
  announce(job, 'turn', turn, append_tool_messages(job, turn))
  send_turn(job, turn + 1, at_us)
end

-- Records how a call ended. The caller has tested that it is open. Closes the turn with its last open call.
local function answer_call(job, turn, index, outcome, content, data, at_us)
  redis.call('HSET', job_key(job) .. ':calls', call_prefix(turn, index) .. 'outcome', outcome,
    call_prefix(turn, index) .. 'content', content)
  record_event(job, 'call_ended', at_us, data)
  if redis.call('HINCRBY', job_key(job), 'open', -1) == 0 then
    close_turn(job, turn, at_us)
  end
end

-- The outcome of a call that nobody may begin any more, and what the model is told. A claimed call of an unsafe tool may
-- have had its effect.
local function outcome_without_result(claimed, effect, otherwise, why)
  if claimed and effect == 'unsafe' then
    return 'unknown', why .. ' Whether the tool had its effect is not known; do not repeat the call without checking.'
  end
  return otherwise, why
end

-- `delivery` (JSON) is that of a message which found that nobody may begin the call again.
local function call_ended_data(turn, index, outcome, delivery)
  return '{"turn":' .. turn .. ',"index":' .. index .. ',"outcome":"' .. outcome .. '"'
    .. (delivery and ',"delivery":' .. delivery or '') .. '}'
end

-- Answers every open call of the running turn and appends the turn's tool messages, so that the conversation stays
-- acceptable to a model. Tells the workers of running calls to stop.
local function answer_open_calls(job, why, at_us)
  local record = redis.call('HMGET', job_key(job), 'turn', 'calls_in_turn')
  local turn, calls = record[1], job_key(job) .. ':calls'
  for index = 0, tonumber(record[2]) - 1 do
    local prefix = call_prefix(turn, index)
    local call = redis.call('HMGET', calls, prefix .. 'outcome', prefix .. 'claim', prefix .. 'effect')
    if not call[1] then
      local outcome, content = outcome_without_result(call[2], call[3], 'cancelled', why)
      redis.call('HSET', calls, prefix .. 'outcome', outcome, prefix .. 'content', cjson.encode(content))
      record_event(job, 'call_ended', at_us, call_ended_data(turn, index, outcome))
      if call[2] then
        local worker, message = string.match(call[2], '^[^|]*|([^|]*)|([^|]*)')
        redis.call('RPUSH', ns .. ':__control__.' .. worker, message)
        redis.call('EXPIRE', ns .. ':__control__.' .. worker, 60)
      end
    end
  end
  append_tool_messages(job, turn)
end

local function result_json(job)
  local r = redis.call('HMGET', job_key(job), 'state', 'conversation', 'answer', 'error', 'turn', 'calls_used',
    'prompt_tokens', 'completion_tokens', 'accepted_us', 'ended_us', 'deadline_ms', 'tenant', 'model', 'metadata',
    'finish_reason')
  return '{"schema_version":' .. written_version() .. ',"job_id":"' .. job .. '","conversation_id":"' .. r[2]
    .. '","state":"' .. r[1] .. '","answer":' .. (r[3] or 'null') .. ',"error":' .. (r[4] or 'null')
    .. ',"turns":' .. (r[5] or '0') .. ',"calls":' .. (r[6] or '0')
    .. ',"usage":{"prompt_tokens":' .. (r[7] or '0') .. ',"completion_tokens":' .. (r[8] or '0') .. '}'
    .. ',"accepted_us":' .. r[9] .. ',"ended_us":' .. (r[10] or 'null') .. ',"deadline_ms":' .. r[11]
    .. ',"finish_reason":' .. (r[15] or 'null') .. ',"tenant":' .. r[12] .. ',"model":' .. (r[13] or 'null') .. ',"metadata":' .. (r[14] or '{}') .. '}'
end

-- Answers are kept as long as jobs, and at most so many in a queue that nobody reads.
local function reply(queue, actor, purpose, kwargs, at_us, retention_ms)
  if redis.call('LLEN', queue_key(queue)) >= REPLY_QUEUE_LENGTH then
    count('replies_dropped')
    return
  end
  redis.call('SADD', ns .. ':__queues__', queue)
  send(queue, actor, purpose, kwargs, at_us)
  redis.call('PEXPIRE', queue_key(queue), retention_ms)
  redis.call('PEXPIRE', queue_key(queue) .. '.msgs', retention_ms)
end

-- The conversation goes on with the first waiting job that still lives, or rests; resting, it expires.
local function next_of_conversation(conversation, at_us)
  local key = conversation_key(conversation)
  redis.call('HSET', key, 'running', '')
  while true do
    local job = redis.call('LPOP', key .. ':waiting')
    if not job then break end
    if redis.call('HGET', job_key(job), 'state') == 'waiting' then
      record_event(job, 'job_started', at_us, '{}')
      start_job(job, conversation, redis.call('LRANGE', job_key(job) .. ':messages', 0, -1), at_us)
      redis.call('DEL', job_key(job) .. ':messages')
      return
    end
  end
  local retention_ms = redis.call('HGET', key, 'retention_ms')
  redis.call('PEXPIRE', key, retention_ms)
  redis.call('PEXPIRE', key .. ':messages', retention_ms)
end

-- The end of a job, for whatever reason, exactly once: the caller has tested that it has not ended. `answer` and `failure`
-- are JSON or ''; `why` is what open calls are told; `delivery` (JSON) is that of a message whose turn nobody may take again.
local function end_job(job, state, answer, failure, why, at_us, delivery)
  local key = job_key(job)
  local r = redis.call('HMGET', key, 'phase', 'turn_claim', 'conversation', 'expiry_message', 'retention_ms', 'reply_queue',
    'reply_actor', 'idempotency', 'state', 'turn', 'accepted_us')
  if r[1] == 'calls' then
    answer_open_calls(job, why, at_us)
  elseif r[1] == 'model' and r[2] and r[2] ~= '' then
    local worker, message = string.match(r[2], '^[^|]*|([^|]*)|([^|]*)')
    redis.call('RPUSH', ns .. ':__control__.' .. worker, message)
    redis.call('EXPIRE', ns .. ':__control__.' .. worker, 60)
  end
  redis.call('HSET', key, 'state', state, 'phase', '', 'ended_us', integer(at_us))
  if answer ~= '' then redis.call('HSET', key, 'answer', answer) end
  if failure ~= '' then redis.call('HSET', key, 'error', failure) end
  record_event(job, 'job_ended', at_us, '{"state":"' .. state .. '"' .. (failure ~= '' and ',"error":' .. failure or '')
    .. (delivery and ',"delivery":' .. delivery or '') .. '}')
  if r[4] then drop_scheduled(ORCHESTRATOR, r[4]) end
  redis.call('ZREM', ns .. ':jobs:active', job)
  if r[6] and r[6] ~= '' then reply(r[6], r[7], job .. '/reply', '{"result":' .. result_json(job) .. '}', at_us, r[5]) end
  if r[9] == 'running' then next_of_conversation(r[3], at_us) end
  for _, suffix in ipairs({'', ':calls', ':events', ':messages'}) do redis.call('PEXPIRE', key .. suffix, r[5]) end
  if r[8] and r[8] ~= '' then redis.call('PEXPIRE', ns .. ':idempotency:' .. r[8], r[5]) end
  announce(job, 'job', r[10] or 0, r[11])
end
