#!lua flags=allow-oom
-- refuse_job: a job that came as a message is not accepted: the message is a dead letter, and its sender is told.
--
-- ARGV: 1-4 worker, queue, id, token, 5 cause (JSON), 6 reply queue or '', 7 reply actor, 8 kwargs of the reply (JSON),
--       9 how long the reply is kept, ms
-- Answer: 1, or 0 if the message is no longer owned
-- include: queues
-- include: ownership
-- include: jobs
local worker, queue, id, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if not owns(queue, id, token) then return 0 end
local at_us = now_us()
if ARGV[6] ~= '' then reply(ARGV[6], ARGV[7], 'refused', ARGV[8], at_us, ARGV[9]) end
count('jobs_refused')
bury(worker, queue, id, ARGV[5], at_us)
return 1
