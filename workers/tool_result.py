"""What the result of a tool is that yields: what it returns, or the last thing it yielded that is no progress."""

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from workers.context import Progress


def drain(generator: Generator[Any, None, Any], report: Callable[[Progress], object]) -> Any:
    """Runs a generator to its end. `report` may raise, which ends the generator too."""
    last = None
    try:
        while True:
            try:
                item = next(generator)
            except StopIteration as stop:
                return last if stop.value is None else stop.value
            if isinstance(item, Progress):
                report(item)
            else:
                last = item
    finally:
        generator.close()


async def drain_async(generator: AsyncGenerator[Any, None], report: Callable[[Progress], object]) -> Any:
    """Runs an async generator to its end."""
    last = None
    async for item in generator:
        if isinstance(item, Progress):
            report(item)
        else:
            last = item
    return last
