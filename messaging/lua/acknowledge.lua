#!lua flags=allow-oom
-- acknowledge: ends this worker's ownership of messages that are done. By far the commonest way to settle them, so
-- a script without all that the others need.
--
-- ARGV: worker, queue, then for each message: id, token
-- Answer: how many were owned and are done with; the others had been taken away before, and nothing was done with them
-- include: queues
-- include: ownership
local worker, queue = ARGV[1], ARGV[2]
local acknowledged = 0
for i = 3, #ARGV, 2 do
  if owns(queue, ARGV[i], ARGV[i + 1]) then
    acknowledge(worker, queue, ARGV[i])
    acknowledged = acknowledged + 1
  end
end
return acknowledged
