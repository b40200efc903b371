#!lua flags=allow-oom
-- record_outcome: a call has ended. The call itself is the fence: the first outcome counts, from whomever it comes.
--
-- ARGV: 1-4 worker, queue, id, token, or '' four times where the outcome comes from elsewhere, 5 job, 6 turn, 7 index, 8 outcome, 9 content (JSON), 10 call_ended data (JSON),
--       11 a result too large for the model, or ''
-- Answer: 1, or 0 if an outcome was recorded before, or the job has ended; then only the message is acknowledged
-- Atomic: the outcome, and with the turn's last one its tool messages and the continuation, acknowledgement last.
-- include: queues
-- include: ownership
-- include: jobs
local worker, queue, id, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job, turn, index = ARGV[5], ARGV[6], ARGV[7]
local key, prefix = job_key(job), call_prefix(turn, index)
local r = redis.call('HMGET', key, 'state', 'turn', 'phase', 'deadline_ms', 'retention_ms')
local c = redis.call('HMGET', key .. ':calls', prefix .. 'tool_call_id', prefix .. 'outcome', prefix .. 'claim', prefix .. 'effect')
local recorded = 0
if r[1] == 'running' and r[2] == turn and r[3] == 'calls' and c[1] and not c[2] then
  local at_us = now_us()
  if ARGV[11] ~= '' then
    local keep_ms = math.max(r[4] - at_us / 1000, 0) + r[5] -- at least until the job's own keys expire
    redis.call('SET', key .. ':result:' .. turn .. '/' .. index, ARGV[11], 'PX', integer(keep_ms))
    redis.call('HSET', key .. ':calls', prefix .. 'stored', #ARGV[11])
  end
  local outcome, content, data = ARGV[8], ARGV[9], ARGV[10]
  if worker == '' and c[3] and c[4] == 'unsafe' then
    local text
    outcome, text = outcome_without_result(true, 'unsafe', '', cjson.decode(content))
    content, data = cjson.encode(text), call_ended_data(turn, index, outcome)
  end
  answer_call(job, turn, index, outcome, content, data, at_us)
  recorded = 1
else
  count('late_outcomes')
end
if worker ~= '' and owns(queue, id, token) then acknowledge(worker, queue, id) end
return recorded
