"""Running the function of a tool: sync or async, plain or yielding progress."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
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
        inline_bytes: A result larger than this is stored, and the model gets its beginning.
        largest_bytes: A result larger than this is refused.
    """

    runner: AsyncCommandRunner
    threads: ToolThreads
    inline_bytes: int
    largest_bytes: int

    async def run(self, attempt: Attempt) -> Answered:
        """Runs the tool and makes an outcome of what it returns.

        Raises:
            CallCancelled: The call was cancelled while it ran.
            Exception: Whatever the tool raises; and the result errors of `workers.errors`.
        """
        result = await self._call(attempt)
        return self._outcome(result_text(result, tool=attempt.tool), attempt)

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

    async def _call(self, attempt: Attempt) -> Any:
        envelope, tool = attempt.envelope, attempt.tool
        step = call_id(envelope.job_id, envelope.turn, envelope.index)
        cancellation = threading.Event()
        arguments = dict(attempt.arguments)
        if tool.takes_context:
            arguments["context"] = ToolContext(
                job_id=envelope.job_id,
                call_id=step,
                conversation_id=attempt.claim.conversation_id,
                caller=attempt.claim.caller,
                attempt=attempt.claim.attempt,
                ends_at=attempt.ends_at,
                cancellation=cancellation,
                logger=_log,
            )
        report = _ProgressReporter(self.runner, attempt)
        loop = asyncio.get_running_loop()
        with current_span(attempt.claim.trace_id, attempt_span_id(step, attempt.claim.attempt)):
            if tool.is_async:
                call = loop.create_task(_run_async(tool.function, arguments, tool.is_generator, report))
            else:
                call = loop.create_task(
                    self.threads.run(
                        lambda: _run_sync(tool.function, arguments, tool.is_generator, report, cancellation)
                    )
                )
        attempt.delivery.on_cancel(lambda: loop.call_soon_threadsafe(call.cancel))
        try:
            return await call
        except asyncio.CancelledError:
            if attempt.delivery.cancelled:
                raise CallCancelled("the job has ended") from None
            raise
        finally:
            cancellation.set()
            call.cancel()


async def _run_async(
    function: Callable[..., Any], arguments: dict[str, Any], is_generator: bool, report: "_ProgressReporter"
) -> Any:
    if not is_generator:
        return await function(**arguments)
    generator: AsyncGenerator[Any, None] = function(**arguments)
    result = None
    async for item in generator:
        if isinstance(item, Progress):
            report(item)
        else:
            result = item
    return result


def _run_sync(
    function: Callable[..., Any],
    arguments: dict[str, Any],
    is_generator: bool,
    report: "_ProgressReporter",
    cancellation: threading.Event,
) -> Any:
    if not is_generator:
        return function(**arguments)
    generator: Generator[Any, None, Any] = function(**arguments)
    last = None
    while True:
        try:
            item = next(generator)
        except StopIteration as stop:
            return last if stop.value is None else stop.value
        if isinstance(item, Progress):
            report(item)
        else:
            last = item
        if cancellation.is_set():
            generator.close()
            raise CallCancelled("nobody waits for the result any more")


class _ProgressReporter:
    """Sends progress to the ledger, from any thread, without making the tool wait for it."""

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

    def _send(self, progress: Progress) -> None:
        command = record_progress(
            job_id=self._envelope.job_id,
            turn=self._envelope.turn,
            index=self._envelope.index,
            message=progress.message,
            fraction=progress.fraction,
        )
        task = self._loop.create_task(self._runner.run(command))
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[Any]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.warning("progress was not recorded", error=str(error))
