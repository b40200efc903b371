"""A result of a `read` tool is reused for equal arguments of the same tenant, for as long as the tool's policy says."""

import structlog
from redis.exceptions import RedisError

from ledger.result_cache import cache_key, keep_result, read_cached
from messaging.command_runner import AsyncCommandRunner
from schemas.call import Outcome
from workers.attempt import Answered, Attempt, Ended, Policy, Proceed
from workers.result import size_in_bytes

_log = structlog.get_logger(__name__)


def use_cache(runner: AsyncCommandRunner, *, namespace: str) -> Policy:
    """The policy, for results kept in the deployment's Redis. A result that is too large for the model is not kept."""

    async def answer_from_cache(attempt: Attempt, proceed: Proceed) -> Ended:
        ttl = attempt.tool.specification.cache
        if ttl is None:
            return await proceed(attempt)
        claim = attempt.claim
        key = cache_key(namespace, tool=claim.tool, tenant=claim.caller.tenant, arguments=claim.arguments)
        kept = await runner.run(read_cached(key))
        if kept is not None:
            outcome = Outcome(kind="succeeded", content=kept)
            return Answered(outcome, cached=True, result_bytes=size_in_bytes(kept))
        ended = await proceed(attempt)
        if isinstance(ended, Answered) and ended.outcome.kind == "succeeded" and ended.stored_result is None:
            try:
                await runner.run_once(keep_result(key, ended.outcome.content, ttl=ttl))
            except RedisError as error:  # away or full: a cache is no reason to keep an outcome waiting
                _log.warning("a result was not cached", error=str(error))
        return ended

    return answer_from_cache
