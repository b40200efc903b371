"""The tools that jobs of the chaos call: one for each effect on the event loop, and on threads.

Each writes down when it begins and when it has had its effect, forced to the disk, under the number of the order that
the job is about: a count that owes nothing to Trunkline. Loaded by worker processes through TRUNKLINE_TOOLS.
"""

import asyncio
import json
import os
import time
from datetime import timedelta

from trunkline import Retries, ToolContext, tool

LONG = timedelta(seconds=20)
UNSAFE = timedelta(seconds=2)
RETRIES = Retries(max_attempts=8, backoff=timedelta(milliseconds=200), max_backoff=timedelta(milliseconds=400))


def _note(context: ToolContext, what: str) -> None:
    note = {"call": context.call_id, "what": what, "attempt": context.attempt, "key": context.idempotency_key}
    line = json.dumps({**note, "pid": os.getpid(), "at": time.monotonic()}) + "\n"
    file = os.open(os.environ["SCENARIO_NOTES"], os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, line.encode())  # one short write in append mode is not torn
        os.fdatasync(file)
    finally:
        os.close(file)


async def _deed(context: ToolContext, what: str, order: str, before: float, after: float) -> str:
    _note(context, f"begin {order}")
    await asyncio.sleep(before)
    _note(context, f"{what} {order}")
    await asyncio.sleep(after)
    return order


def _deed_on_a_thread(context: ToolContext, what: str, order: str, before: float, after: float) -> str:
    _note(context, f"begin {order}")
    time.sleep(before)
    _note(context, f"{what} {order}")
    time.sleep(after)
    return order


@tool(pool="reading", effect="read", timeout=LONG)
async def read(order: str, before: float, after: float, *, context: ToolContext) -> str:
    """Reads."""
    return await _deed(context, "done", order, before, after)


@tool(pool="repeating", effect="idempotent", timeout=LONG, retries=RETRIES)
async def repeat(order: str, before: float, after: float, stumbles: int = 0, *, context: ToolContext) -> str:
    """Does what may be repeated with the same key; fails a few times at first."""
    if context.attempt <= stumbles:
        raise ConnectionError("not yet")
    return await _deed(context, "done", order, before, after)


@tool(pool="paying", effect="unsafe", timeout=UNSAFE)
async def pay(order: str, before: float, after: float, *, context: ToolContext) -> str:
    """Does what may not be repeated."""
    return await _deed(context, "paid", order, before, after)


@tool(pool="threads", effect="read", timeout=LONG)
def read_on_a_thread(order: str, before: float, after: float, *, context: ToolContext) -> str:
    """Reads, on a thread."""
    return _deed_on_a_thread(context, "done", order, before, after)


@tool(pool="threads", effect="unsafe", timeout=UNSAFE)
def pay_on_a_thread(order: str, before: float, after: float, *, context: ToolContext) -> str:
    """Does what may not be repeated, on a thread."""
    return _deed_on_a_thread(context, "paid", order, before, after)
