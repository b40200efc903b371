"""Threads for tools that are plain functions. A thread whose call nobody waits for any more is replaced."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_Job = tuple[Callable[[], Any], asyncio.Future[Any], asyncio.AbstractEventLoop, contextvars.Context]


class ToolThreads:
    """As many threads as there are calls at once, kept for the next ones.

    They are daemons: a function that hangs does not keep its process alive.
    """

    def __init__(self) -> None:
        self._idle: list[SimpleQueue[_Job]] = []
        self._lock = threading.Lock()
        self._started = 0
        self._busy = 0

    @property
    def busy(self) -> int:
        """How many threads are running a function, those that nobody waits for included."""
        return self._busy

    async def run(self, function: Callable[[], T]) -> T:
        """Runs `function` on a thread, in a copy of the caller's context.

        If the caller is cancelled the function goes on, and its result is dropped.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        job = (function, future, loop, contextvars.copy_context())
        with self._lock:
            self._busy += 1
            inbox = self._idle.pop() if self._idle else None
        if inbox is None:
            inbox = SimpleQueue()
            self._started += 1
            name = f"tool-{self._started}"
            threading.Thread(target=self._work, args=(inbox,), name=name, daemon=True).start()
        inbox.put(job)
        return await future

    def _work(self, inbox: "SimpleQueue[_Job]") -> None:
        while True:
            function, future, loop, context = inbox.get()
            result, error = None, None
            try:
                result = context.run(function)
            # The thread's boundary: the error belongs to whoever awaits the future.
            except BaseException as raised:  # noqa: BLE001
                error = raised
            with self._lock:
                self._busy -= 1
                self._idle.append(inbox)
            try:
                loop.call_soon_threadsafe(_settle, future, result, error)
            except RuntimeError:
                return  # the loop is closed: the process is going
            del function, future, result, error, context


def _settle(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, Exception):
        future.set_exception(error)
    else:
        # SystemExit or KeyboardInterrupt of a tool must not end the worker.
        future.set_exception(RuntimeError(f"the tool raised {type(error).__name__}: {error}"))
