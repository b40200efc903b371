"""The tools of the scenarios, in several pools. Each writes down what it does, so that a test has a count of its own.

Loaded by worker processes through TRUNKLINE_TOOLS. The notes go to the file that SCENARIO_NOTES names, a line each;
what makes a tool behave differently the first time is a file beside it.
"""

import asyncio
import ctypes
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from annotated_types import Ge

from trunkline import ArgumentsRejected, NotDone, Progress, Retries, ToolContext, ToolFailed, tool

SHORT = timedelta(milliseconds=400)
LONG = timedelta(seconds=20)


def _note(context: ToolContext, what: str) -> None:
    note = {"call": context.call_id, "what": what, "attempt": context.attempt, "key": context.idempotency_key}
    line = json.dumps({**note, "pid": os.getpid(), "at": time.monotonic()}) + "\n"
    with Path(os.environ["SCENARIO_NOTES"]).open("a") as file:  # one short write in append mode is not torn
        file.write(line)


def _first_time(name: str) -> bool:
    try:
        Path(f"{os.environ['SCENARIO_NOTES']}.{name.replace('/', '.')}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


async def _nap(context: ToolContext, seconds: float) -> str:
    _note(context, "begin")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        _note(context, "cancelled")
        raise
    _note(context, "done")
    return f"slept {seconds:g}"


# What works.


@tool(pool="alpha", effect="read", timeout=LONG)
async def look(text: str, *, context: ToolContext) -> str:
    """Says the text again, asynchronously."""
    _note(context, "done")
    return f"seen {text}"


@tool(pool="beta", effect="read", timeout=LONG)
def count(numbers: list[Annotated[int, Ge(0)]], *, context: ToolContext) -> int:
    """Adds numbers, on a thread."""
    _note(context, "done")
    return sum(numbers)


@tool(pool="gamma", effect="unsafe", timeout=LONG)
async def pay(amount: int, *, context: ToolContext) -> dict[str, int]:
    """Pays, once."""
    _note(context, "done")
    return {"paid": amount}


def _meet(place: str, parties: int, context: ToolContext) -> int:
    _note(context, f"arrived at {place}")
    notes = Path(os.environ["SCENARIO_NOTES"])
    while notes.read_text().count(f'"arrived at {place}"') < parties:
        context.raise_if_cancelled()
        time.sleep(0.002)
    return os.getpid()


@tool(pool="alpha", effect="read", timeout=LONG)
def meet_alpha(place: str, parties: int, *, context: ToolContext) -> int:
    """Waits until all have come."""
    return _meet(place, parties, context)


@tool(pool="beta", effect="read", timeout=LONG)
def meet_beta(place: str, parties: int, *, context: ToolContext) -> int:
    """Waits until all have come."""
    return _meet(place, parties, context)


@tool(pool="gamma", effect="read", timeout=LONG)
def meet_gamma(place: str, parties: int, *, context: ToolContext) -> int:
    """Waits until all have come."""
    return _meet(place, parties, context)


@tool(pool="alpha", effect="read", timeout=LONG)
async def nap(seconds: float, *, context: ToolContext) -> str:
    """Sleeps, asynchronously."""
    return await _nap(context, seconds)


@tool(pool="alpha", effect="unsafe", timeout=timedelta(seconds=6))
async def unsafe_nap(seconds: float, *, context: ToolContext) -> str:
    """Sleeps, and may not be repeated."""
    return await _nap(context, seconds)


@tool(pool="alpha", effect="read", timeout=LONG)
def watchful_nap(seconds: float, *, context: ToolContext) -> str:
    """Sleeps on a thread, and looks whether anybody still waits."""
    _note(context, "begin")
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        if context.cancelled:
            _note(context, "cancelled")
            context.raise_if_cancelled()
        time.sleep(0.01)
    return "slept"


@tool(pool="alpha", effect="read", timeout=LONG)
def walk(steps: int, *, context: ToolContext) -> Iterator[Progress | str]:
    """Says how far it is, on a thread."""
    for step in range(1, steps + 1):
        time.sleep(0.11)
        yield Progress(f"step {step}", step / steps)
    yield "arrived"


@tool(pool="alpha", effect="read", timeout=LONG)
async def stroll(steps: int, *, context: ToolContext) -> AsyncIterator[Progress | str]:
    """Says how far it is, asynchronously."""
    for step in range(1, steps + 1):
        await asyncio.sleep(0.11)
        yield Progress(f"step {step}", step / steps)
    yield "arrived"


# What goes wrong.


def _hold_interpreter(context: ToolContext, seconds: float) -> str:
    _note(context, "begin")
    ctypes.PyDLL(None).usleep(round(seconds * 1e6))  # unlike CDLL, it does not let go of the interpreter
    _note(context, "done")
    return "let go"


@tool(pool="alpha", effect="unsafe", timeout=timedelta(seconds=3))
def hold_interpreter(seconds: float, *, context: ToolContext) -> str:
    """Keeps every other thread of its process from running, and may not be repeated."""
    return _hold_interpreter(context, seconds)


@tool(pool="alpha", effect="read", timeout=LONG)
def grip(seconds: float, *, context: ToolContext) -> str:
    """Keeps every other thread of its process from running, for long."""
    return _hold_interpreter(context, seconds)


@tool(pool="alpha", effect="unsafe", timeout=timedelta(seconds=3))
async def block_loop(seconds: float, *, context: ToolContext) -> str:
    """Blocks the event loop, as an async tool should not."""
    _note(context, "begin")
    time.sleep(seconds)  # noqa: ASYNC251 - this is the mistake
    _note(context, "done")
    return "let go"


@tool(pool="alpha", effect="read", timeout=SHORT)
async def hang(context_of: str = "", *, context: ToolContext) -> str:
    """Hangs, asynchronously."""
    return await _nap(context, 60)


@tool(pool="alpha", effect="read", timeout=SHORT)
def hang_thread(*, context: ToolContext) -> str:
    """Hangs on a thread until it is told."""
    _note(context, "begin")
    while not context.cancelled:
        time.sleep(0.01)
    _note(context, "cancelled")
    return "too late"


@tool(pool="alpha", effect="unsafe", timeout=SHORT)
async def hang_unsafe(*, context: ToolContext) -> str:
    """Hangs, and nobody knows what it did."""
    return await _nap(context, 60)


Kind = Literal[
    "error", "not_done", "failed", "rejected", "exit", "interrupt", "cancelled", "base", "os_exit_text", "timeout"
]


class Rude(BaseException):
    """What no tool should raise."""


def _raise(kind: Kind) -> NoReturn:
    match kind:
        case "error":
            raise ValueError("it broke, and api_key=sk-verysecret1234567890 leaked")
        case "not_done":
            raise NotDone("the shop is closed")
        case "failed":
            raise ToolFailed("there is no such house")
        case "rejected":
            raise ArgumentsRejected([("until", "must be after from")])
        case "exit":
            raise SystemExit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case "cancelled":
            raise asyncio.CancelledError
        case "timeout":
            raise TimeoutError("the shop did not answer")
        case _:
            raise Rude("rude")


@tool(pool="alpha", effect="read", timeout=LONG)
async def stumble(kind: Kind, *, context: ToolContext) -> str:
    """Raises, asynchronously."""
    _note(context, "begin")
    _raise(kind)


@tool(pool="alpha", effect="read", timeout=LONG)
def stumble_thread(kind: Kind, *, context: ToolContext) -> str:
    """Raises, on a thread."""
    _note(context, "begin")
    _raise(kind)


@tool(pool="alpha", effect="unsafe", timeout=LONG)
async def stumble_unsafe(kind: Kind, *, context: ToolContext) -> str:
    """Raises, and nobody knows what it did."""
    _note(context, "begin")
    _raise(kind)


@tool(pool="alpha", effect="read", timeout=LONG)
def strange() -> Any:
    """Returns what has no JSON form."""
    return {"socket": object()}


@tool(pool="alpha", effect="read", timeout=LONG)
def text_of(size: int) -> str:
    """Returns so many characters."""
    return "x" * size


@tool(pool="alpha", effect="read", timeout=LONG, permissions={"scenario:secrets"})
def secret(*, context: ToolContext) -> str:
    """For some only."""
    _note(context, "done")
    return "the secret"


@tool(
    pool="delta",
    effect="idempotent",
    timeout=LONG,
    retries=Retries(max_attempts=3, backoff=timedelta(milliseconds=300), max_backoff=timedelta(milliseconds=300)),
)
async def third_time(*, context: ToolContext) -> str:
    """Fails twice, then works."""
    _note(context, "begin")
    if context.attempt < 3:
        raise ConnectionError("not yet")
    return "at last"


@tool(pool="delta", effect="read", timeout=LONG)
async def quick(*, context: ToolContext) -> str:
    """Is done at once."""
    _note(context, "done")
    return "quick"


# What is killed. Each is in a pool of its own, so that a test kills one process for one tool.


async def _deed(context: ToolContext, seconds: float) -> str:
    _note(context, "begin")
    await asyncio.sleep(seconds)
    _note(context, "done")
    return f"done by attempt {context.attempt}"


@tool(pool="reading", effect="read", timeout=SHORT)
async def read_deed(seconds: float = 0, *, context: ToolContext) -> str:
    """Reads."""
    return await _deed(context, seconds)


@tool(pool="repeating", effect="idempotent", timeout=SHORT)
async def idempotent_deed(seconds: float = 0, *, context: ToolContext) -> str:
    """Does what may be repeated with the same key."""
    return await _deed(context, seconds)


@tool(pool="paying", effect="unsafe", timeout=SHORT)
async def unsafe_deed(seconds: float = 0, *, context: ToolContext) -> str:
    """Does what may not be repeated."""
    return await _deed(context, seconds)


def _die_in_the_middle(context: ToolContext, *, always: bool) -> str:
    _note(context, "begin")
    if always or _first_time(context.call_id):
        _die()
    _note(context, "done")
    return "survived"


@tool(pool="reading", effect="read", timeout=SHORT)
def read_and_die(always: bool = False, *, context: ToolContext) -> str:
    """Kills its process, the first time or every time."""
    return _die_in_the_middle(context, always=always)


@tool(pool="repeating", effect="idempotent", timeout=SHORT)
def repeat_and_die(always: bool = False, *, context: ToolContext) -> str:
    """Kills its process, the first time or every time."""
    return _die_in_the_middle(context, always=always)


@tool(pool="paying", effect="unsafe", timeout=SHORT)
def pay_and_die(always: bool = False, *, context: ToolContext) -> str:
    """Kills its process, the first time or every time."""
    return _die_in_the_middle(context, always=always)


@tool(pool="lonely", effect="read", timeout=LONG)
async def wait_for_company(*, context: ToolContext) -> str:
    """Is in a pool that no worker serves until a test starts one."""
    _note(context, "done")
    return "not alone"
