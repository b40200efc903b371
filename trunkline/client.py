"""Handing in chat jobs and following them, from a thread or from an event loop.

Both clients drive the same operations (`trunkline.operations`); neither has any logic of its own.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

from pydantic import SecretStr

from ledger import reading
from ledger.accepting import Accepted
from ledger.catalogue import PublishedTool
from ledger.settings import LedgerSettings
from messaging.command_runner import TRANSIENT, BlockingRunner, PipeliningRunner
from messaging.redis_access.clients import connection_errors
from messaging.redis_access.connections import async_client, blocking_client
from messaging.settings import load_settings, resolve_redis_url
from schemas.call import Call
from schemas.chat_job import ChatJob
from schemas.events import JobEnded, JobEvent
from schemas.job_result import JobResult, JobState
from trunkline.operations import Operation, Operations, chat_job

T = TypeVar("T")

#: For how long a command is tried while Redis is away, seconds. Every command may be sent twice.
_PATIENCE_S = 5.0
_AWAY_PAUSE_S = 0.2


class Client:
    """Hands in chat jobs and follows them. May be shared by threads; close it, or use it in a `with` statement.

    Args:
        redis_url: The deployment's Redis; by default what `TRUNKLINE_REDIS_URL` says, else a running `trunkline up`.
        settings: The deployment's settings, instead of those of the environment.

    Raises:
        RedisUnreachable: From every method: Redis does not answer. The message says what to do.
    """

    def __init__(self, redis_url: str | None = None, *, settings: LedgerSettings | None = None) -> None:
        settings = _settings(redis_url, settings)
        self._url = resolve_redis_url(settings)
        self._redis = blocking_client(settings)
        namespace = settings.key_prefix
        self._runner = BlockingRunner(self._redis, namespace=namespace, patience_s=_PATIENCE_S)
        self._operations = Operations(namespace=namespace, rules=settings.acceptance_rules())

    def submit(self, job: ChatJob | str, **fields: Any) -> Accepted:
        """Hands a job in. Once this returns, the job is never lost.

        Args:
            job: A `ChatJob`, or a user's text.
            fields: With a text: the other fields of the `ChatJob`. Without an `idempotency_key` one is made for this
                call, so that an answer which gets lost on the way cannot double the job.

        Returns:
            The ids of the job and of its conversation.

        Raises:
            JobRefused: It does not fit; the message names the field and the reason.
        """
        return self._drive(self._operations.submit(chat_job(job, fields), idempotency_key=_fresh_key()))

    def get(self, job_id: str) -> JobResult:
        """How a job stands now.

        Raises:
            JobUnknown: There is no such job, or it has expired.
        """
        return self._drive(self._operations.get(job_id))

    def result(self, job_id: str, *, timeout: timedelta | None = None) -> JobResult:
        """Waits until a job has ended.

        Raises:
            TimeoutError: It has not ended within `timeout`; it goes on all the same.
            JobUnknown: There is no such job, or it has expired.
        """
        return self._drive(self._operations.result(job_id, timeout=timeout))

    def events(self, job_id: str, *, after: str = reading.FROM_THE_BEGINNING) -> Iterator[JobEvent]:
        """What happens to a job, as it happens, to its end.

        Pass the id of the last event seen to read on from there.
        """
        while events := self._drive(self._operations.next_events(job_id, after=after)):
            yield from events
            if isinstance(events[-1], JobEnded):
                return
            after = events[-1].id

    def cancel(self, job_id: str, *, reason: str = "cancelled by the caller", tenant: str | None = None) -> JobResult:
        """Ends a job: queued calls are not run, running ones are told to stop within a second.

        A job that has ended already stays as it is. With a `tenant`, only a job of that tenant is cancelled.

        Returns:
            How the job stands now.
        """
        return self._drive(self._operations.cancel(job_id, reason=reason, tenant=tenant))

    def list(
        self,
        *,
        state: JobState | None = None,
        tenant: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
    ) -> Sequence[JobResult]:
        """Jobs, newest first."""
        return self._drive(self._operations.list(state=state, tenant=tenant, since=since, limit=limit))

    def calls(self, job_id: str) -> Sequence[Call]:
        """The tool calls of a job, in order, with their outcomes."""
        return self._drive(self._operations.calls(job_id))

    def conversation(self, conversation_id: str) -> Sequence[Mapping[str, Any]]:
        """The messages of a conversation, in OpenAI's format."""
        return self._drive(self._operations.conversation(conversation_id))

    def tools(self) -> Sequence[PublishedTool]:
        """The tools that pools have published within a day, and whether a worker has them now."""
        return self._drive(self._operations.tools())

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _drive(self, operation: Operation[T]) -> T:
        with connection_errors(self._url):
            try:
                command = next(operation)
                while True:
                    command = operation.send(self._runner.run(command))
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]  # an operation of T returns a T


class AsyncClient:
    """`Client` for an event loop: the same methods, awaited. Close it, or use it in an `async with` statement.

    Args:
        redis_url: As for `Client`.
        settings: As for `Client`.
    """

    def __init__(self, redis_url: str | None = None, *, settings: LedgerSettings | None = None) -> None:
        settings = _settings(redis_url, settings)
        self._url = resolve_redis_url(settings)
        self._redis = async_client(settings)
        namespace = settings.key_prefix
        self._runner = PipeliningRunner(self._redis, namespace=namespace, patience_s=_PATIENCE_S)
        self._operations = Operations(namespace=namespace, rules=settings.acceptance_rules())

    async def submit(self, job: ChatJob | str, **fields: Any) -> Accepted:
        """See `Client.submit`."""
        return await self._drive(self._operations.submit(chat_job(job, fields), idempotency_key=_fresh_key()))

    async def get(self, job_id: str) -> JobResult:
        """See `Client.get`."""
        return await self._drive(self._operations.get(job_id))

    async def result(self, job_id: str, *, timeout: timedelta | None = None) -> JobResult:
        """See `Client.result`."""
        return await self._drive(self._operations.result(job_id, timeout=timeout))

    async def events(self, job_id: str, *, after: str = reading.FROM_THE_BEGINNING) -> AsyncIterator[JobEvent]:
        """See `Client.events`."""
        while events := await self._drive(self._operations.next_events(job_id, after=after)):
            for event in events:
                yield event
            if isinstance(events[-1], JobEnded):
                return
            after = events[-1].id

    async def cancel(
        self, job_id: str, *, reason: str = "cancelled by the caller", tenant: str | None = None
    ) -> JobResult:
        """See `Client.cancel`."""
        return await self._drive(self._operations.cancel(job_id, reason=reason, tenant=tenant))

    async def list(
        self,
        *,
        state: JobState | None = None,
        tenant: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
    ) -> Sequence[JobResult]:
        """See `Client.list`."""
        return await self._drive(self._operations.list(state=state, tenant=tenant, since=since, limit=limit))

    async def calls(self, job_id: str) -> Sequence[Call]:
        """See `Client.calls`."""
        return await self._drive(self._operations.calls(job_id))

    async def conversation(self, conversation_id: str) -> Sequence[Mapping[str, Any]]:
        """See `Client.conversation`."""
        return await self._drive(self._operations.conversation(conversation_id))

    async def tools(self) -> Sequence[PublishedTool]:
        """See `Client.tools`."""
        return await self._drive(self._operations.tools())

    async def close(self) -> None:
        """Closes the connections."""
        await self._runner.close()
        await self._redis.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _drive(self, operation: Operation[T]) -> T:
        with connection_errors(self._url):
            try:
                command = next(operation)
                while True:
                    command = operation.send(await self._send(command))
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]  # an operation of T returns a T

    async def _send(self, command: Any) -> Any:
        if command.script is not None or "BLOCK" not in command.words:
            return await self._runner.run(command)
        # A command that blocks would hold up everything else on the shared connection; it gets one of its own.
        away_since = None
        while True:
            try:
                return command.decode(await self._redis.execute_command(*command.words))  # type: ignore[no-untyped-call]
            except TRANSIENT:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > _PATIENCE_S:
                    raise
                await asyncio.sleep(_AWAY_PAUSE_S)


def _settings(redis_url: str | None, settings: LedgerSettings | None) -> LedgerSettings:
    if settings is None:
        settings = load_settings(LedgerSettings)
    return settings if redis_url is None else settings.model_copy(update={"redis_url": SecretStr(redis_url)})


def _fresh_key() -> str:
    return f"submit {uuid4()}"
