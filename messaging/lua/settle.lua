#!lua flags=allow-oom
-- settle: ends this worker's ownership of messages, each in one of four ways other than `acknowledge`'s.
--
-- ARGV: worker, queue, how, detail, notice_queue, notice_actor, then for each message: id, token
--   how 'give_back'  to the head of the queue, not counted as a crash; detail unused
--       'postpone'   into the schedule, detail ms from now
--       'break'      the same, and counted as a crash: the code around the actor failed
--       'bury'       among the dead letters; detail is the cause, JSON text; a message to notice_actor on notice_queue
--                    says so (unless that is ''), so that nobody waits for what will not be done
-- Answer: how many were owned and are settled; the others had been taken away before, and nothing was done with them
-- include: queues
-- include: ownership
local worker, queue, how, detail = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local notice_queue, notice_actor = ARGV[5], ARGV[6]
local at_us = now_us()
local settled = 0
for i = #ARGV - 1, 7, -2 do -- backwards, so that what goes back to the head keeps its order
  local id, token = ARGV[i], ARGV[i + 1]
  if owns(queue, id, token) then
    if how == 'give_back' then
      give_back(worker, queue, id)
    elseif how == 'postpone' then
      postpone(worker, queue, id, at_us / 1000 + detail)
    elseif how == 'break' then
      count_crash(queue, id, worker, at_us, 1, 1) -- it broke by itself
      postpone(worker, queue, id, at_us / 1000 + detail)
    elseif how == 'bury' then
      if notice_queue ~= '' then
        local kwargs = '{"queue":"' .. queue .. '","message_id":' .. cjson.encode(id) .. ',"cause":' .. detail .. '}'
        send(notice_queue, notice_actor, 'dead', kwargs, at_us)
      end
      bury(worker, queue, id, detail, at_us)
    else
      return redis.error_reply('ERR settle: unknown way ' .. how)
    end
    settled = settled + 1
  end
end
return settled
