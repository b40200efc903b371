"""Processes for tools that compute: they hold no other call up, can be stopped, and take only themselves down.

A process loads the tools once and then performs calls, one at a time. It is kept for the next call; when its time is up
or it is no longer wanted in the middle of a call, it is killed.
"""

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from messaging.logging import configure_logging
from schemas.caller import Caller
from workers.context import Progress, ToolContext
from workers.errors import ArgumentsRejected, NotDone, ToolFailed, ToolProcessDied
from workers.failure_text import failure_text
from workers.registry import ToolRegistry
from workers.result import result_text
from workers.tool_result import drain

#: What goes over the pipe to a process: the tool, its arguments, what its context is made of, what its log lines say.
Request = tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]

_spawning = multiprocessing.get_context("spawn")


class ToolProcesses:
    """As many processes as there are calls at once, kept for the next ones.

    Args:
        modules: Where the tools are, as for `ToolRegistry.load`.
        pools: Which pools' tools, as for `ToolRegistry.load`.
        set_up_logging: What each process begins with; it is sent there, so it can be pickled.
    """

    def __init__(
        self,
        *,
        modules: Sequence[str],
        pools: Sequence[str] | None,
        set_up_logging: Callable[[], None] = configure_logging,
    ) -> None:
        self._modules = modules
        self._pools = pools
        self._set_up_logging = set_up_logging
        self._idle: list[tuple[BaseProcess, Connection]] = []

    async def run(
        self, tool: str, arguments: dict[str, Any], context: ToolContext, report: Callable[[Progress], None]
    ) -> str:
        """Performs a call in a process; answers the result as text.

        Raises:
            ToolProcessDied: The process ended in the middle.
            ArgumentsRejected: The tool said so.
            NotDone: The tool said so.
            ToolFailed: The tool raised something; the text is what the model may read of it.
        """
        process, pipe = self._idle.pop() if self._idle else await asyncio.to_thread(self._start)
        finished = False
        try:
            pipe.send((tool, arguments, _portable(context), get_contextvars()))
            answer = await _answer(pipe, report)
            finished = True
        except (EOFError, BrokenPipeError, ConnectionResetError):
            await asyncio.to_thread(process.join, 1)
            raise ToolProcessDied(tool, exit_code=process.exitcode) from None
        finally:
            if finished:
                self._idle.append((process, pipe))
            else:
                process.kill()
                pipe.close()
        return _read(answer)

    def _start(self) -> tuple[BaseProcess, Connection]:
        ours, theirs = _spawning.Pipe()
        process = _spawning.Process(
            target=_serve, args=(theirs, self._modules, self._pools, self._set_up_logging), daemon=True
        )
        process.start()
        theirs.close()
        return process, ours


async def _answer(pipe: Connection, report: Callable[[Progress], None]) -> tuple[str, Any]:
    loop = asyncio.get_running_loop()
    while True:
        readable = loop.create_future()
        loop.add_reader(pipe.fileno(), _wake, readable)
        try:
            await readable
        finally:
            loop.remove_reader(pipe.fileno())
        kind, value = pipe.recv()
        if kind != "progress":
            return kind, value
        report(Progress(*value))


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


def _read(answer: tuple[str, Any]) -> str:
    kind, value = answer
    match kind:
        case "result":
            return str(value)
        case "rejected":
            raise ArgumentsRejected(value)
        case "not_done":
            raise NotDone(value)
        case _:
            raise ToolFailed(value)


def _portable(context: ToolContext) -> dict[str, Any]:
    return {
        "job_id": context.job_id,
        "call_id": context.call_id,
        "conversation_id": context.conversation_id,
        "caller": context.caller.model_dump(mode="json"),
        "attempt": context.attempt,
        "remaining_s": context.remaining().total_seconds(),
    }


def _serve(
    pipe: Connection, modules: Sequence[str], pools: Sequence[str] | None, set_up_logging: Callable[[], None]
) -> None:
    """The process: performs calls until its parent is gone."""
    set_up_logging()
    registry = ToolRegistry.load(modules=modules, pools=pools)
    while True:
        try:
            request: Request = pipe.recv()
        except EOFError:
            return
        pipe.send(_perform(registry, request, pipe))


def _perform(registry: ToolRegistry, request: Request, pipe: Connection) -> tuple[str, Any]:
    reference, arguments, about, in_log_lines = request
    clear_contextvars()
    bind_contextvars(**in_log_lines)
    tool = registry.get(reference)
    if tool is None:
        return "failed", f"The process for {reference} does not have it."
    if tool.takes_context:
        caller = Caller.model_validate(about.pop("caller"))
        ends_at = time.monotonic() + about.pop("remaining_s")
        logger = structlog.get_logger("tool")
        arguments["context"] = ToolContext(
            **about, caller=caller, ends_at=ends_at, cancellation=threading.Event(), logger=logger
        )
    try:
        result = tool.function(**arguments)
        if tool.is_generator:
            result = drain(result, lambda progress: pipe.send(("progress", (progress.message, progress.fraction))))
        return "result", result_text(result, tool=tool)
    except ArgumentsRejected as error:
        return "rejected", list(error.problems)
    except NotDone as error:
        return "not_done", str(error)
    # The boundary around a tool: it may raise anything, and its process goes on.
    except Exception as error:  # noqa: BLE001
        return "failed", failure_text(error)
