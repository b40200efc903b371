-- Fragment: the test that every step of a turn begins with. Needs jobs.lua.

-- Whether this delivery owns its message and the turn that it claimed; and then the job's conversation and lane.
local function owns_turn(worker, queue, id, token, job, turn)
  if not owns(queue, id, token) then return false end
  local r = redis.call('HMGET', job_key(job), 'state', 'turn', 'phase', 'turn_claim', 'conversation', 'lane')
  local is_mine = r[1] == 'running' and r[2] == turn and r[3] == 'model' and r[4] == token .. '|' .. worker .. '|' .. id
  return is_mine, r[5], r[6] or nil
end

-- A step that came too late: what it would have done has been done otherwise, or must not be done any more.
local function refuse_step(worker, queue, id, token)
  count('late_steps')
  if owns(queue, id, token) then acknowledge(worker, queue, id) end
  return 0
end

local function add_usage(job, prompt_tokens, completion_tokens)
  if prompt_tokens ~= '0' then redis.call('HINCRBY', job_key(job), 'prompt_tokens', prompt_tokens) end
  if completion_tokens ~= '0' then redis.call('HINCRBY', job_key(job), 'completion_tokens', completion_tokens) end
end
