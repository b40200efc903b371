"""The steps of a call: claimed, then its outcome or another attempt."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from messaging.command import Command
from messaging.delivery import Delivery
from messaging.queue_commands import MAX_CRASHES
from messaging.script import load_script
from schemas.call import Outcome
from schemas.caller import Caller
from schemas.events import Delivered

#: How much longer than its time limit the lost worker of an unsafe call is waited for.
UNSAFE_GRACE = timedelta(seconds=2)
#: Progress events that are kept of one call.
MAX_PROGRESS_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class CallClaimed:
    """This delivery performs the call, and nobody else does while it owns its message."""

    now_us: int
    deadline_ms: int
    tool: str
    """`name@version`."""
    arguments: str
    attempt: int
    caller: Caller
    conversation_id: str
    trace_id: str

    @property
    def remaining(self) -> timedelta:
        """What was left of the job's time when the call was claimed, by Redis's clock."""
        return timedelta(milliseconds=self.deadline_ms - self.now_us / 1000)


@dataclass(frozen=True, slots=True)
class CallPostponed:
    """An unsafe call whose first worker was lost but may still report: the message waits for that long."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class CallNotOurs:
    """The call was taken, has an outcome (perhaps only now), or its job has ended. The message is settled."""


def claim_call(
    delivery: Delivery, delivered: Delivered, *, job_id: str, turn: int, index: int
) -> Command[CallClaimed | CallPostponed | CallNotOurs]:
    """Takes a call for this delivery, unless it must not be begun; see `lua/claim_call.lua`."""

    def decode(answer: list[Any]) -> CallClaimed | CallPostponed | CallNotOurs:
        if answer[0] == b"postponed":
            return CallPostponed(timedelta(milliseconds=answer[1]))
        if answer[0] != b"go":
            return CallNotOurs()
        return CallClaimed(
            now_us=int(answer[1]),
            deadline_ms=int(answer[2]),
            tool=answer[3].decode(),
            arguments=answer[4].decode(),
            attempt=answer[5],
            caller=Caller.model_validate_json(answer[6]),
            conversation_id=answer[7].decode(),
            trace_id=answer[8].decode(),
        )

    words = (
        *delivery.fence,
        job_id,
        turn,
        index,
        delivery.crashes,
        MAX_CRASHES,
        delivered.model_dump_json(exclude_defaults=True),
        round(UNSAFE_GRACE / timedelta(milliseconds=1)),
    )
    return Command(load_script("ledger", "claim_call"), words, decode)


def record_outcome(
    delivery: Delivery | None,
    *,
    job_id: str,
    turn: int,
    index: int,
    outcome: Outcome,
    elapsed: timedelta | None = None,
    attempt: int | None = None,
    cached: bool = False,
    result_bytes: int | None = None,
    stored_result: str | None = None,
) -> Command[bool]:
    """Records how a call ended, once: False if an outcome was there before, or the job has ended.

    Args:
        delivery: The call's own message, acknowledged in the same step; None if the outcome comes from elsewhere.
        job_id: The call's job.
        turn: The call's turn.
        index: The call's index in its turn.
        outcome: What is recorded, and what the model is told.
        elapsed: How long the tool ran.
        attempt: Which attempt this was.
        cached: Whether the result came from the cache.
        result_bytes: The size of the whole result.
        stored_result: The whole result, where `outcome` holds a preview of it only.
    """
    facts: dict[str, object] = {"turn": turn, "index": index, "outcome": outcome.kind}
    if elapsed is not None:
        facts["elapsed_us"] = round(elapsed / timedelta(microseconds=1))
    if delivery is not None:
        facts["worker"] = delivery.worker
    if attempt is not None:
        facts["attempt"] = attempt
    if cached:
        facts["cached"] = True
    if result_bytes is not None:
        facts["bytes"] = result_bytes
    words = (
        *(delivery.fence if delivery else ("", "", "", "")),
        job_id,
        turn,
        index,
        outcome.kind,
        json.dumps(outcome.content),
        json.dumps(facts),
        stored_result or "",
    )
    return Command(load_script("ledger", "record_outcome"), words, bool)


def retry_call(
    delivery: Delivery,
    *,
    job_id: str,
    turn: int,
    index: int,
    attempt: int,
    delay: timedelta,
    elapsed: timedelta,
    error: str,
) -> Command[bool]:
    """Schedules a call's next attempt; False if the call is not this delivery's any more."""
    delay_ms = round(delay / timedelta(milliseconds=1))
    facts = {
        "turn": turn,
        "index": index,
        "attempt": attempt,
        "elapsed_us": round(elapsed / timedelta(microseconds=1)),
        "error": error,
        "retry_in_ms": delay_ms,
    }
    words = (*delivery.fence, job_id, turn, index, delay_ms, json.dumps(facts))
    return Command(load_script("ledger", "retry_call"), words, bool)


def record_progress(
    *, job_id: str, turn: int, index: int, message: str, fraction: float | None = None
) -> Command[bool]:
    """Records how far a running call is; False if it has ended or has said enough."""
    facts = {"turn": turn, "index": index, "message": message, "fraction": fraction}
    words = (job_id, turn, index, json.dumps(facts), MAX_PROGRESS_EVENTS)
    return Command(load_script("ledger", "record_progress"), words, bool)
