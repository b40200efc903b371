#!lua
-- accept_job: a chat job enters the ledger, and its first turn its queue. Refused when memory is full.
--
-- ARGV: 1-4 worker, queue, id, token of the accept_job message that this comes from, or '' four times
--       5 job, 6 conversation, 7 '1' if the conversation is new, 8 tenant (JSON), 9 spec (JSON), 10 caller (JSON),
--       11 model (JSON), 12 metadata (JSON), 13 timeout_ms, 14 '1' to wait if the conversation is busy,
--       15 digest of the idempotency key or '', 16 digest of the body, 17 reply queue or '', 18 reply actor,
--       19 retention_ms of the job, 20 retention_ms of the conversation, 21 how many jobs may wait, 22 trace id, 23 lane, then the messages
--       (JSON)
-- Answer: {'accepted', job, conversation} | {'known', job, conversation} (the same job was accepted before)
--       | {'conflict', job} (another job has this idempotency key) | {'no_conversation'} | {'busy', job}
--       | {'stale'} (the message is no longer owned)
-- Atomic: the job exists with everything that will move it, and its message is acknowledged, or nothing has happened.
-- include: queues
-- include: ownership
-- include: jobs
local worker, queue, id, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job, conversation, is_new, tenant, retention_ms = ARGV[5], ARGV[6], ARGV[7] == '1', ARGV[8], ARGV[19]
local fenced = worker ~= ''
local FIRST_MESSAGE = 24
local at_us = now_us()

if fenced and not owns(queue, id, token) then return {'stale'} end

local idempotency = ARGV[15] ~= '' and ns .. ':idempotency:' .. ARGV[15] or nil
local known = idempotency and redis.call('GET', idempotency)
if known then
  local first, digest = string.match(known, '^([^|]*)|(.*)$')
  if digest ~= ARGV[16] then return {'conflict', first} end
  if fenced then acknowledge(worker, queue, id) end
  return {'known', first, redis.call('HGET', job_key(first), 'conversation')}
end

local conversation_record = conversation_key(conversation)
local running, previous = '', ''
if not is_new then
  local existing = redis.call('HMGET', conversation_record, 'tenant', 'running', 'last_job')
  if existing[1] ~= tenant then return {'no_conversation'} end
  running = existing[2]
  if running ~= '' and (ARGV[14] ~= '1' or redis.call('LLEN', conversation_record .. ':waiting') >= tonumber(ARGV[21])) then
    return {'busy', running}
  end
  local trace = existing[3] and redis.call('HGET', job_key(existing[3]), 'trace')
  if trace then previous = existing[3] .. '|' .. trace end
end

local deadline_ms = math.floor(at_us / 1000) + ARGV[13]
redis.call('HSET', job_key(job), 'state', 'waiting', 'spec', ARGV[9], 'caller', ARGV[10], 'tenant', tenant,
  'model', ARGV[11], 'metadata', ARGV[12], 'conversation', conversation, 'accepted_us', integer(at_us),
  'deadline_ms', integer(deadline_ms), 'turn', 0, 'phase', '', 'calls_in_turn', 0, 'open', 0, 'calls_used', 0,
  'reply_queue', ARGV[17], 'reply_actor', ARGV[18], 'idempotency', ARGV[15], 'retention_ms', retention_ms, 'trace', ARGV[22], 'lane', ARGV[23],
  'previous', previous)
redis.call('HSET', conversation_record, 'tenant', tenant, 'last_job', job, 'retention_ms', ARGV[20])
redis.call('ZADD', ns .. ':jobs', integer(at_us / 1000), job)
redis.call('ZADD', ns .. ':jobs:active', integer(deadline_ms), job)
if idempotency then redis.call('SET', idempotency, job .. '|' .. ARGV[16]) end
local expiry = send_later(ORCHESTRATOR, 'expire_job', job .. '/expiry',
  '{"schema_version":' .. written_version() .. ',"job_id":"' .. job .. '"}', at_us, deadline_ms)
redis.call('HSET', job_key(job), 'expiry_message', expiry)
redis.call('SADD', ns .. ':__queues__', ORCHESTRATOR)
record_event(job, 'job_accepted', at_us,
  '{"conversation_id":"' .. conversation .. '","waiting":' .. (running ~= '' and 'true' or 'false') .. '}')
local messages = {}
for i = FIRST_MESSAGE, #ARGV do messages[#messages + 1] = ARGV[i] end
if running ~= '' then
  in_parts('RPUSH', job_key(job) .. ':messages', messages)
  redis.call('RPUSH', conversation_record .. ':waiting', job)
else
  if not is_new then
    redis.call('PERSIST', conversation_record)
    redis.call('PERSIST', conversation_record .. ':messages')
  end
  start_job(job, conversation, messages, at_us, ARGV[23])
end
if fenced then acknowledge(worker, queue, id) end
return {'accepted', job, conversation}
