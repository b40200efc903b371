#!lua flags=allow-oom
-- leave: a worker goes, and gives back at once what it still holds.
--
-- ARGV: worker, '1' if its process died with what it held (counted as crashes), else '0'
-- Answer: how many messages went back
-- include: queues
-- include: ownership
return release_worker(ARGV[1], ARGV[2] == '1', now_us())
