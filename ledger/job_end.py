"""What ends a job from outside its turns: a cancel, its deadline, a message of it that nobody could process."""

import json
from dataclasses import dataclass
from typing import Any

from messaging.command import Command, text
from messaging.delivery import Delivery
from messaging.script import load_script
from schemas.job_result import JobError, TerminalState


@dataclass(frozen=True, slots=True)
class Ended:
    """The job has ended now."""

    state: TerminalState


@dataclass(frozen=True, slots=True)
class NotEnded:
    """Nothing was done: `unknown`, `already` (in the state given, or past that turn), `early`, or `stale`."""

    why: str
    state: str | None = None


def cancel_job(job_id: str, *, reason: str, tenant: str | None = None) -> Command[Ended | NotEnded]:
    """Ends a job as `cancelled`: queued calls are not run, running ones are told to stop.

    Args:
        job_id: The job.
        reason: Who or what wants it, for people.
        tenant: Ends it only if it is this tenant's.
    """
    error = JobError(code="cancelled", message=reason)
    return _end(job_id, "cancelled", error, f"The job was cancelled: {reason}", tenant=tenant)


def expire_job(delivery: Delivery | None, job_id: str) -> Command[Ended | NotEnded]:
    """Ends a job as `expired` if its deadline has passed."""
    error = JobError(code="deadline", message="the deadline of the job has passed")
    return _end(job_id, "expired", error, "The deadline of the job has passed.", delivery=delivery, when_due=True)


def fail_turn(job_id: str, *, turn: int, error: JobError) -> Command[Ended | NotEnded]:
    """Ends a job as `failed`, since the message of its turn could not be processed."""
    return _end(job_id, "failed", error, "The job failed.", turn=turn)


def _end(
    job_id: str,
    state: TerminalState,
    error: JobError,
    open_calls_are_told: str,
    *,
    delivery: Delivery | None = None,
    when_due: bool = False,
    tenant: str | None = None,
    turn: int | None = None,
) -> Command[Ended | NotEnded]:
    def decode(answer: list[Any]) -> Ended | NotEnded:
        words = [text(word) for word in answer]
        return Ended(state) if words[0] == "ended" else NotEnded(*words)

    words = (
        *(delivery.fence if delivery else ("", "", "", "")),
        job_id,
        state,
        error.model_dump_json(),
        open_calls_are_told,
        int(when_due),
        json.dumps(tenant) if tenant is not None else "",
        turn if turn is not None else "",
    )
    return Command(load_script("ledger", "end_job"), words, decode)
