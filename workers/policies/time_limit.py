"""A tool runs no longer than its limit, and no longer than its job has left."""

import asyncio
import time

from workers.attempt import Attempt, Ended, Proceed
from workers.errors import TimeLimitExceeded


async def limit_time(attempt: Attempt, proceed: Proceed) -> Ended:
    """Ends the wait for the tool when its time is up.

    An async tool is cancelled. A thread cannot be stopped: it goes on, its context says that it is cancelled, and
    nobody waits for it.

    Raises:
        TimeLimitExceeded: The time was up.
    """
    limit_s = attempt.tool.specification.timeout.total_seconds()
    attempt.ends_at = min(attempt.ends_at, time.monotonic() + limit_s)
    try:
        async with asyncio.timeout(attempt.remaining_s) as scope:
            return await proceed(attempt)
    except TimeoutError:
        if scope.expired():
            raise TimeLimitExceeded(attempt.tool.reference, limit_s=limit_s) from None
        raise  # the tool's own
