#!lua flags=allow-oom
-- reconcile: gives back what Redis thinks this worker holds and the worker does not know of: a fetch whose reply was lost.
-- The worker must have no fetch under way on this queue.
--
-- ARGV: worker, queue, then the ids it really holds
-- Answer: how many went back
-- include: queues
-- include: ownership
local worker, queue = ARGV[1], ARGV[2]
local held = {}
for i = 3, #ARGV do held[ARGV[i]] = true end
local returned = 0
for _, id in ipairs(held_last_first(worker, queue)) do
  if not held[id] then
    give_back(worker, queue, id)
    returned = returned + 1
  end
end
return_landing(worker, queue)
return returned
