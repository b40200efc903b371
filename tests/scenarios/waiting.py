"""Waiting for conditions, with an upper bound that only a failure reaches."""

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Final

#: No condition of a test that passes takes this long.
PATIENCE: Final = timedelta(seconds=60)
LOOK_AGAIN_S: Final = 0.01


async def wait_until(condition: Callable[[], bool], what: str, *, patience: timedelta = PATIENCE) -> None:
    """Waits for a condition.

    Raises:
        TimeoutError: It did not come true within `patience`.
    """
    give_up_at = time.monotonic() + patience.total_seconds()
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"waited {patience} in vain for {what}")
        await asyncio.sleep(LOOK_AGAIN_S)


async def all_of(waiting: Iterable[Any]) -> list[Any]:
    """Awaits several at once."""
    return list(await asyncio.gather(*waiting))
