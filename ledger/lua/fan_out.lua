#!lua
-- fan_out: the model asked for calls. They become messages on the queues of their pools. Refused when memory is full.
--
-- ARGV: 1-4 worker, queue, id, token, 5 job, 6 turn, 7 assistant message (JSON), 8 model_answered data (JSON),
--       9 prompt tokens, 10 completion tokens, 11 how many calls, then for each call: tool, pool, effect, timeout_ms,
--       arguments, tool_call_id (JSON), outcome or '', content (JSON) of a call that is refused at once
-- Answer: 1, or 0 if the turn is not this delivery's any more; then nothing has changed
-- Atomic: the assistant message, its calls, the outcomes of those refused, one message per open call and, where none is
-- open, the continuation, with the acknowledgement last.
-- include: queues
-- include: ownership
-- include: jobs
-- include: turn_fence
local worker, queue, id, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job, turn, calls_in_turn = ARGV[5], ARGV[6], tonumber(ARGV[11])
local FIRST, FIELDS = 12, 8

if #ARGV ~= FIRST - 1 + calls_in_turn * FIELDS then return redis.error_reply('ERR fan_out: wrong number of arguments') end
local is_mine, conversation, lane = owns_turn(worker, queue, id, token, job, turn)
if not is_mine then return refuse_step(worker, queue, id, token) end

local at_us = now_us()
local key = job_key(job)
redis.call('RPUSH', conversation_key(conversation) .. ':messages', ARGV[7])
add_usage(job, ARGV[9], ARGV[10])
record_event(job, 'model_answered', at_us, ARGV[8])
local open, refused, fields = {}, {}, {}
for index = 0, calls_in_turn - 1 do
  local at, prefix = FIRST + index * FIELDS, call_prefix(turn, index)
  local outcome = ARGV[at + 6]
  for i, field in ipairs({'tool', 'pool', 'effect', 'timeout_ms', 'arguments', 'tool_call_id'}) do
    fields[#fields + 1] = prefix .. field
    fields[#fields + 1] = ARGV[at + i - 1]
  end
  if outcome == '' then
    open[#open + 1] = {index = index, pool = ARGV[at + 1]}
  else
    refused[#refused + 1] = {index = index, outcome = outcome}
    for _, text in ipairs({prefix .. 'outcome', outcome, prefix .. 'content', ARGV[at + 7]}) do fields[#fields + 1] = text end
  end
end
in_parts('HSET', key .. ':calls', fields)
send_calls(job, turn, open, at_us, lane)
for _, call in ipairs(refused) do
  record_event(job, 'call_ended', at_us, call_ended_data(turn, call.index, call.outcome))
end
redis.call('HSET', key, 'phase', 'calls', 'calls_in_turn', calls_in_turn, 'open', #open)
redis.call('HINCRBY', key, 'calls_used', calls_in_turn)
if #open == 0 then close_turn(job, turn, at_us) end
acknowledge(worker, queue, id)
return 1
