"""What a client does, written once: generators that yield commands and get their answers.

`Client` drives them from a thread, `AsyncClient` from an event loop; see https://sans-io.readthedocs.io for the idea.
"""

import time
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import ValidationError

from ledger import accepting, job_end, reading
from ledger.accepting import AcceptanceRules, Accepted, Refused
from ledger.catalogue import PublishedTool, read_catalogue
from messaging.command import Command
from messaging.envelopes import describe
from schemas.call import Call
from schemas.chat_job import ChatJob
from schemas.events import JobEnded, JobEvent
from schemas.job_result import JobResult, JobState
from trunkline.errors import JobRefused, JobUnknown

T = TypeVar("T")
Operation = Generator[Command[Any], Any, T]

#: How long one read of a job's events waits in Redis for the next one.
EVENTS_BLOCK = timedelta(seconds=5)


class Operations:
    """The operations of a client on one deployment.

    Args:
        namespace: The deployment's key prefix, braces included.
        rules: What the deployment allows.
    """

    def __init__(self, *, namespace: str, rules: AcceptanceRules) -> None:
        self._namespace = namespace
        self._rules = rules

    def submit(self, job: ChatJob, *, idempotency_key: str) -> Operation[Accepted]:
        """See `Client.submit`."""
        if refusal := accepting.problem_with_size(job, self._rules):
            raise JobRefused(refusal.code, refusal.reason)
        acceptance = yield accepting.accept(job, self._rules, idempotency_key=job.idempotency_key or idempotency_key)
        if isinstance(acceptance, Refused):
            raise JobRefused(acceptance.code, acceptance.reason)
        assert isinstance(acceptance, Accepted)
        return acceptance

    def get(self, job_id: str) -> Operation[JobResult]:
        """See `Client.get`."""
        result = yield reading.read_job(job_id)
        if result is None:
            raise JobUnknown(job_id)
        return result  # type: ignore[no-any-return]  # what is sent in belongs to the command that was yielded

    def result(self, job_id: str, *, timeout: timedelta | None) -> Operation[JobResult]:
        """See `Client.result`."""
        give_up_at = None if timeout is None else time.monotonic() + timeout.total_seconds()
        after = reading.FROM_THE_BEGINNING
        while True:
            result = yield from self.get(job_id)
            if result.has_ended:
                return result
            ended = False
            while not ended:
                block = _block_until(give_up_at)
                if block is None:
                    raise TimeoutError(f"job {job_id} has not ended within {timeout}; it goes on")
                events: Sequence[JobEvent] = yield reading.read_events(
                    self._namespace, job_id, after=after, block=block
                )
                if not events:
                    break  # look whether the job still exists
                after = events[-1].id
                ended = isinstance(events[-1], JobEnded)

    def next_events(self, job_id: str, *, after: str) -> Operation[Sequence[JobEvent]]:
        """The events after `after`; waits for the next one. Empty once nothing can come any more."""
        while True:
            events: Sequence[JobEvent] = yield reading.read_events(
                self._namespace, job_id, after=after, block=EVENTS_BLOCK
            )
            if events:
                return events
            result = yield from self.get(job_id)
            if result.has_ended:
                return []

    def cancel(self, job_id: str, *, reason: str, tenant: str | None) -> Operation[JobResult]:
        """See `Client.cancel`."""
        yield job_end.cancel_job(job_id, reason=reason, tenant=tenant)
        result = yield from self.get(job_id)
        if tenant is not None and result.tenant != tenant:
            raise JobUnknown(job_id)
        return result

    def list(
        self, *, state: JobState | None, tenant: str | None, since: datetime | None, limit: int
    ) -> Operation[Sequence[JobResult]]:
        """See `Client.list`."""
        return (yield reading.list_jobs(state=state, tenant=tenant, since=since, limit=limit))  # type: ignore[no-any-return]

    def calls(self, job_id: str) -> Operation[Sequence[Call]]:
        """See `Client.calls`."""
        return (yield reading.read_calls(self._namespace, job_id))  # type: ignore[no-any-return]

    def conversation(self, conversation_id: str) -> Operation[Sequence[Mapping[str, Any]]]:
        """See `Client.conversation`."""
        return (yield reading.read_conversation(self._namespace, conversation_id))  # type: ignore[no-any-return]

    def tools(self) -> Operation[Sequence[PublishedTool]]:
        """See `Client.tools`."""
        return (yield read_catalogue())  # type: ignore[no-any-return]


def chat_job(job: ChatJob | str, fields: Mapping[str, Any]) -> ChatJob:
    """The job that `submit` was given: a whole one, or a user's text with fields.

    Raises:
        JobRefused: It does not fit; the message names the field.
    """
    if isinstance(job, ChatJob):
        if fields:
            raise TypeError("give a ChatJob, or a text and fields, not both")
        return job
    try:
        return ChatJob.model_validate({"messages": [{"role": "user", "content": job}], **fields})
    except ValidationError as error:
        raise JobRefused("invalid", describe(error)) from None


def _block_until(give_up_at: float | None) -> timedelta | None:
    if give_up_at is None:
        return EVENTS_BLOCK
    remaining = timedelta(seconds=give_up_at - time.monotonic())
    return min(remaining, EVENTS_BLOCK) if remaining > timedelta(0) else None
