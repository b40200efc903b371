#!lua flags=no-writes
-- read_job: how a job stands, in the form of its result.
--
-- ARGV: job
-- Answer: a JobResult (JSON), or nil
-- include: queues
-- include: ownership
-- include: jobs
if redis.call('EXISTS', job_key(ARGV[1])) == 0 then return nil end
return result_json(ARGV[1])
