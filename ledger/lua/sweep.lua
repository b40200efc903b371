#!lua
-- sweep: finds jobs that no message will wake any more, and re-drives or ends them. In a correct system it finds nothing:
-- it counts what it does.
--
-- ARGV: 1 offset into the jobs that have not ended, 2 how many to look at, 3 how long past its deadline a job may be, ms
-- Answer: {how many were looked at, how many were repaired}
-- include: queues
-- include: ownership
-- include: jobs
local at_us = now_us()
local now_ms = at_us / 1000

local function is_on_its_way(queue, id)
  local key = queue_key(queue)
  return id and (redis.call('HEXISTS', key .. '.msgs', id) == 1 or redis.call('HEXISTS', key .. ':schedule.msgs', id) == 1)
end

-- All calls have their outcomes, and the turn was not continued. Its tool messages may be there already.
local function repair_gather(job, turn, conversation)
  local last = redis.call('LINDEX', conversation_key(conversation) .. ':messages', -1) or ''
  if string.sub(last, 1, 14) ~= '{"role":"tool"' then append_tool_messages(job, turn) end
  announce(job, 'turn', turn, redis.call('HGET', job_key(job), 'accepted_us'))
  send_turn(job, turn + 1, at_us)
end

local function repair_calls(job, turn, calls_in_turn, conversation)
  local repaired, open, calls = 0, 0, job_key(job) .. ':calls'
  for index = 0, calls_in_turn - 1 do
    local prefix = call_prefix(turn, index)
    local c = redis.call('HMGET', calls, prefix .. 'outcome', prefix .. 'message', prefix .. 'pool', prefix .. 'claim',
      prefix .. 'effect')
    if not c[1] then open = open + 1 end
    if not c[1] and not is_on_its_way(c[3], c[2]) then
      if c[4] and c[5] == 'unsafe' then
        local outcome, content = outcome_without_result(true, 'unsafe', '', 'The message of this call was lost.')
        answer_call(job, turn, index, outcome, cjson.encode(content), call_ended_data(turn, index, outcome), at_us)
      else
        send_calls(job, turn, {{index = index, pool = c[3]}}, at_us, lane_of(job))
      end
      repaired = repaired + 1
    end
  end
  if open == 0 then
    repair_gather(job, turn, conversation)
    repaired = repaired + 1
  end
  return repaired
end

local repaired = 0
local jobs = redis.call('ZRANGE', ns .. ':jobs:active', ARGV[1], ARGV[1] + ARGV[2] - 1)
for _, job in ipairs(jobs) do
  local r = redis.call('HMGET', job_key(job), 'state', 'phase', 'turn', 'turn_message', 'calls_in_turn', 'deadline_ms',
    'conversation')
  if has_ended(r[1]) then
    redis.call('ZREM', ns .. ':jobs:active', job)
    repaired = repaired + 1
  elseif now_ms > r[6] + ARGV[3] then
    end_job(job, 'expired', '', '{"code":"deadline","message":"the deadline of the job has passed"}', 'The job expired.', at_us)
    repaired = repaired + 1
  elseif r[1] == 'waiting' then
    local running = redis.call('HGET', conversation_key(r[7]), 'running')
    if not running or running == '' or has_ended(redis.call('HGET', job_key(running), 'state')) then
      local waiting = conversation_key(r[7]) .. ':waiting'
      if not redis.call('LPOS', waiting, job) then redis.call('RPUSH', waiting, job) end
      redis.call('PERSIST', conversation_key(r[7]))
      redis.call('PERSIST', conversation_key(r[7]) .. ':messages')
      next_of_conversation(r[7], at_us)
      repaired = repaired + 1
    end
  elseif r[2] == 'calls' then
    repaired = repaired + repair_calls(job, r[3], tonumber(r[5]), r[7])
  elseif not is_on_its_way(ORCHESTRATOR, r[4]) then
    send_turn(job, math.max(1, r[3]), at_us)
    repaired = repaired + 1
  end
end
if repaired > 0 then count('repaired', repaired) end
return {#jobs, repaired}
