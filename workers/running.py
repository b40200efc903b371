"""Running the function of a tool: sync or async, plain or yielding progress."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from ledger.call_steps import record_progress
from messaging.command_runner import AsyncCommandRunner
from messaging.trace_context import current_span
from schemas.call import Outcome
from schemas.trace_ids import attempt_span_id
from schemas.wire import call_id
from workers.attempt import Answered, Attempt
from workers.context import Progress, ToolContext
from workers.errors import CallCancelled, ResultTooLarge
from workers.result import result_text, size_in_bytes
from workers.tool import Tool
from workers.tool_processes import ToolProcesses
from workers.tool_result import drain, drain_async
from workers.tool_threads import ToolThreads

_log = structlog.get_logger("tool")

#: Progress is recorded at most this often; what comes between is dropped.
_PROGRESS_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class ToolRunner:
    """Runs tools.

    Attributes:
        runner: Carries their progress to the ledger.
        threads: Where plain functions run.
        processes: Where tools run that compute.
        inline_bytes: A result larger than this is stored, and the model gets its beginning.
        largest_bytes: A result larger than this is refused.
    """

    runner: AsyncCommandRunner
    threads: ToolThreads
    processes: ToolProcesses
    inline_bytes: int
    largest_bytes: int

    async def run(self, attempt: Attempt) -> Answered:
        """Runs the tool and makes an outcome of what it returns.

        Raises:
            CallCancelled: The call was cancelled while it ran.
            Exception: Whatever the tool raises; and the result errors of `workers.errors`.
        """
        return self._outcome(await self._call(attempt), attempt)

    def _outcome(self, text: str, attempt: Attempt) -> Answered:
        size = size_in_bytes(text)
        if size > self.largest_bytes:
            raise ResultTooLarge(attempt.tool.reference, size=size, limit=self.largest_bytes)
        if size <= self.inline_bytes:
            return Answered(Outcome(kind="succeeded", content=text), result_bytes=size)
        beginning = text.encode()[: self.inline_bytes].decode(errors="ignore")
        note = f"\n[Cut: this is the beginning of a result of {size:,} bytes. The whole of it is stored for people.]"
        outcome = Outcome(kind="succeeded", content=beginning + note)
        return Answered(outcome, result_bytes=size, stored_result=text)

    async def _call(self, attempt: Attempt) -> str:
        """The result as text."""
        context, report = _context(attempt), _ProgressReporter(self.runner, attempt)
        loop = asyncio.get_running_loop()
        with current_span(attempt.claim.trace_id, attempt_span_id(context.call_id, context.attempt)):
            call = loop.create_task(self._start(attempt, context, report))
        attempt.delivery.on_cancel(lambda: loop.call_soon_threadsafe(call.cancel))
        try:
            result = await call
            await report.recorded()
            return result
        except asyncio.CancelledError:
            if attempt.delivery.cancelled:
                raise CallCancelled("the job has ended") from None
            raise
        finally:
            context.cancellation.set()
            call.cancel()

    def _start(self, attempt: Attempt, context: ToolContext, report: "_ProgressReporter") -> Coroutine[Any, Any, str]:
        tool, arguments = attempt.tool, attempt.arguments
        if tool.specification.cpu_bound:
            return self.processes.run(tool.reference, arguments, context, report)
        if tool.takes_context:
            arguments = {**arguments, "context": context}
        return self._run_here(tool, arguments, report, context.cancellation)

    async def _run_here(
        self,
        tool: Tool[..., Any],
        arguments: dict[str, Any],
        report: "_ProgressReporter",
        cancellation: threading.Event,
    ) -> str:
        if tool.is_async:
            result = await _run_async(tool.function, arguments, tool.is_generator, report)
        else:
            result = await self.threads.run(
                lambda: _run_sync(tool.function, arguments, tool.is_generator, report, cancellation)
            )
        return result_text(result, tool=tool)


def _context(attempt: Attempt) -> ToolContext:
    envelope = attempt.envelope
    return ToolContext(
        job_id=envelope.job_id,
        call_id=call_id(envelope.job_id, envelope.turn, envelope.index),
        conversation_id=attempt.claim.conversation_id,
        caller=attempt.claim.caller,
        attempt=attempt.claim.attempt,
        ends_at=attempt.ends_at,
        cancellation=threading.Event(),
        logger=_log,
    )


async def _run_async(
    function: Callable[..., Any], arguments: dict[str, Any], is_generator: bool, report: "_ProgressReporter"
) -> Any:
    try:
        return await drain_async(function(**arguments), report) if is_generator else await function(**arguments)
    except (Exception, GeneratorExit):
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise RuntimeError("the tool raised CancelledError") from error  # its own: nobody has cancelled it
    except BaseException as error:
        # SystemExit or KeyboardInterrupt of a tool would end the loop, and the worker with it.
        raise RuntimeError(f"the tool raised {type(error).__name__}: {error}") from error


def _run_sync(
    function: Callable[..., Any],
    arguments: dict[str, Any],
    is_generator: bool,
    report: "_ProgressReporter",
    cancellation: threading.Event,
) -> Any:
    if not is_generator:
        return function(**arguments)

    def report_unless_cancelled(progress: Progress) -> None:
        if cancellation.is_set():
            raise CallCancelled("nobody waits for the result any more")
        report(progress)

    return drain(function(**arguments), report_unless_cancelled)


class _ProgressReporter:
    """Sends progress to the ledger, from any thread, without making the tool wait for it.

    It is sent once: the outcome, which waits for it, shall not wait until Redis has room.
    """

    def __init__(self, runner: AsyncCommandRunner, attempt: Attempt) -> None:
        self._runner = runner
        self._envelope = attempt.envelope
        self._loop = asyncio.get_running_loop()
        self._last = float("-inf")
        self._sending: set[asyncio.Task[Any]] = set()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last >= _PROGRESS_INTERVAL_S or progress.fraction == 1.0:
            self._last = now
            self._loop.call_soon_threadsafe(self._send, progress)

    async def recorded(self) -> None:
        """Waits until what was reported is recorded: it must not come after the outcome."""
        if self._sending:
            await asyncio.wait(self._sending)

    def _send(self, progress: Progress) -> None:
        command = record_progress(
            job_id=self._envelope.job_id,
            turn=self._envelope.turn,
            index=self._envelope.index,
            message=progress.message,
            fraction=progress.fraction,
        )
        task = self._loop.create_task(self._runner.run_once(command))
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[Any]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.warning("progress was not recorded", error=str(error))
