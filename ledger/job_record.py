"""The record of a job with all that is known of it besides its conversation: what traces and metrics are built from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.reading import decode_events
from messaging.command import Command, text
from schemas.chat_job import JobTerms
from schemas.events import JobEvent
from schemas.job_result import JobError, JobState
from schemas.trace_ids import job_span_id

_FIELDS = (
    "state",
    "conversation",
    "tenant",
    "spec",
    "trace",
    "accepted_us",
    "ended_us",
    "deadline_ms",
    "turn",
    "error",
    "previous",
)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What the ledger says of a job as a whole."""

    job_id: str
    conversation_id: str
    state: JobState
    tenant: str
    terms: JobTerms
    trace_id: str
    accepted_us: int
    ended_us: int | None
    deadline_ms: int
    turn: int
    """The turn that it is in, or ended in."""
    error: JobError | None
    previous: tuple[str, str] | None
    """The trace and the span of the job before it in its conversation."""


def read_record(namespace: str, job_id: str) -> Command[JobRecord | None]:
    """The record of a job; None if there is no such job (any more)."""

    def decode(answer: list[bytes | None]) -> JobRecord | None:
        state, conversation, tenant, spec, trace, accepted_us, ended_us, deadline_ms, turn, error, previous = (
            None if value is None else text(value) for value in answer
        )
        if state is None or conversation is None or tenant is None or spec is None or trace is None:
            return None
        return JobRecord(
            job_id=job_id,
            conversation_id=conversation,
            state=state,  # type: ignore[arg-type]  # the scripts write no other
            tenant=json.loads(tenant),
            terms=JobTerms.model_validate_json(spec),
            trace_id=trace,
            accepted_us=int(accepted_us or 0),
            ended_us=int(ended_us) if ended_us else None,
            deadline_ms=int(deadline_ms or 0),
            turn=int(turn or 0),
            error=JobError.model_validate_json(error) if error else None,
            previous=_span_of(previous) if previous else None,
        )

    return Command(None, ("HMGET", f"{namespace}:job:{job_id}", *_FIELDS), decode)


def _span_of(previous: str) -> tuple[str, str]:
    job_id, _, trace_id = previous.partition("|")
    return trace_id, job_span_id(job_id)


def read_all_events(namespace: str, job_id: str) -> Command[Sequence[JobEvent]]:
    """Everything that has happened to a job so far."""
    return Command(None, ("XRANGE", f"{namespace}:job:{job_id}:events", "-", "+"), decode_events)
