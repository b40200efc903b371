"""Carrying commands to Redis: one by one from a thread, or pipelined from an event loop.

Every script of ours can be sent again when its answer was lost: a step is fenced by its delivery, a claim answers the
same delivery the same, a submit has its idempotency key. The exception is fetch, which is never sent again; its
consumer reconciles instead.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

import redis
import redis.asyncio
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from messaging.command import Command
from messaging.redis_access.link import RedisLink
from messaging.script import Script

S = TypeVar("S")
T = TypeVar("T")

#: Redis is away, restarting, or handing over to a replica: the same command may go through later.
TRANSIENT = (
    RedisConnectionError,
    RedisTimeoutError,
    ReadOnlyError,
    ClusterDownError,
    MasterDownError,
    TryAgainError,
)
#: Redis is full. Scripts that free memory go on, so that room may come; a step that adds waits for it, since what it
#: would record has been paid for.
FULL = (OutOfMemoryError,)
#: Commands that go to Redis in one write.
MAX_PIPELINE = 256

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class AsyncCommandRunner(Protocol):
    """What the actors need of Redis."""

    async def run(self, command: Command[T]) -> T:
        """Sends `command`, again and again while Redis is away or full, and reads its answer."""
        ...

    async def run_all(self, commands: Sequence[Command[T]]) -> Sequence[T]:
        """Sends all of `commands` at once, again and again while Redis is away or full, and reads their answers."""
        ...

    async def run_once(self, command: Command[T]) -> T:
        """Sends `command` once: for what is not worth waiting for while Redis is away or full."""
        ...


class BlockingRunner:
    """Carries commands from a thread.

    Args:
        client: A client with `decode_responses=False`.
        namespace: The key prefix, braces included.
        patience_s: For how long a command is tried while Redis is away, seconds; 0 tries once.
    """

    def __init__(self, client: "redis.Redis", *, namespace: str, patience_s: float = 0.0) -> None:
        self.client = client
        self._namespace = namespace
        self._patience_s = patience_s

    def run(self, command: Command[T]) -> T:
        """Sends `command` and reads its answer."""
        give_up_at = time.monotonic() + self._patience_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return command.decode(self._send(command))
            except (*TRANSIENT, *FULL):
                if time.monotonic() + pause_s > give_up_at:
                    raise
                time.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _send(self, command: Command[Any]) -> Any:
        if command.script is None:
            return self.client.execute_command(*command.words)  # type: ignore[no-untyped-call]
        words = (1, self._namespace, *command.words)
        try:
            return self.client.execute_command("EVALSHA", command.script.sha, *words)  # type: ignore[no-untyped-call]
        except NoScriptError:
            return self.client.execute_command("EVAL", command.script.source, *words)  # type: ignore[no-untyped-call]


class PipeliningRunner:
    """Carries commands from an event loop: what is sent while an earlier write is under way goes out as the next one.

    So a lone command costs one round trip, five hundred at once cost a few, and no caller waits for another's slow
    reply longer than one round trip.

    Args:
        client: An asyncio client with `decode_responses=False`.
        namespace: The key prefix, braces included.
        patience_s: For how long a command is tried while Redis is away, seconds; for ever by default, since a worker
            has nothing better to do with a result than to record it.
    """

    def __init__(self, client: "redis.asyncio.Redis", *, namespace: str, patience_s: float = float("inf")) -> None:
        self.client = client
        self._namespace = namespace
        self._patience_s = patience_s
        self._waiting: list[tuple[Command[Any], asyncio.Future[Any]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._loaded: set[str] = set()
        self._link = RedisLink(client)

    async def run(self, command: Command[T]) -> T:
        """Sends `command`, again and again while Redis is away, and reads its answer."""
        return await self._patiently(self.run_once, command)

    async def run_all(self, commands: Sequence[Command[T]]) -> Sequence[T]:
        """Sends all of `commands` at once, again and again while Redis is away, and reads their answers.

        It costs less than a task for each. All are sent again if one of them has to be.
        """
        return await self._patiently(self._run_all_once, commands)

    async def run_once(self, command: Command[T]) -> T:
        """Sends `command` once; an answer that got lost is an error."""
        return command.decode(await self._sent(command))

    async def _run_all_once(self, commands: Sequence[Command[T]]) -> Sequence[T]:
        answers = await asyncio.gather(*map(self._sent, commands))
        return [command.decode(answer) for command, answer in zip(commands, answers, strict=True)]

    def _sent(self, command: Command[Any]) -> asyncio.Future[Any]:
        """The answer to come. A caller that is cancelled does not take back what may already be on its way."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return answer

    async def _patiently(self, send: Callable[[S], Awaitable[T]], what: S) -> T:
        give_up_at = time.monotonic() + self._patience_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await send(what)
            except (*TRANSIENT, *FULL):
                if time.monotonic() + pause_s > give_up_at:
                    raise
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def close(self) -> None:
        """Closes the runner's connection. Nothing may be under way."""
        await self._link.close()

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_PIPELINE], self._waiting[MAX_PIPELINE:]
                try:
                    answers = await self._send([command for command, _ in batch])
                # A process boundary of sorts: whatever went wrong belongs to the callers, not to this task.
                except Exception as error:  # noqa: BLE001
                    answers = [error] * len(batch)
                for (_, waiting), answer in zip(batch, answers, strict=True):
                    if waiting.done():
                        continue  # its caller was cancelled
                    if isinstance(answer, Exception):
                        waiting.set_exception(answer)
                    else:
                        waiting.set_result(answer)
        finally:
            self._writer = None

    async def _send(self, commands: list[Command[Any]]) -> list[Any]:
        for script in {command.script for command in commands if command.script is not None}:
            if script.sha not in self._loaded:
                await self._load(script)
        answers = await self._round_trip(commands)
        # Redis has forgotten its scripts (a flush, a restart, a fail-over): those commands did nothing, so they go
        # again, with their source, since what is only loaded may be forgotten once more before it is called.
        forgotten = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if forgotten:
            again = await self._link.round_trip([self._words(commands[index], with_source=True) for index in forgotten])
            for index, answer in zip(forgotten, again, strict=True):
                answers[index] = answer
        return answers

    async def _round_trip(self, commands: list[Command[Any]]) -> list[Any]:
        return await self._link.round_trip([self._words(command) for command in commands])

    def _words(self, command: Command[Any], *, with_source: bool = False) -> tuple[Any, ...]:
        if command.script is None:
            return tuple(command.words)
        script = ("EVAL", command.script.source) if with_source else ("EVALSHA", command.script.sha)
        return (*script, 1, self._namespace, *command.words)

    async def _load(self, script: Script) -> None:
        await self.client.script_load(script.source)
        self._loaded.add(script.sha)
