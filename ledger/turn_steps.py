"""The steps of a turn: claimed once, then calls, an end, or another attempt."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from messaging.command import Command, Word
from messaging.delivery import Delivery
from messaging.queue_commands import MAX_CRASHES
from messaging.script import load_script
from schemas.call import Outcome
from schemas.chat_job import JobTerms
from schemas.events import Delivered, ModelFacts, RequestedCall
from schemas.job_result import JobError, TerminalState
from schemas.tool import ToolSpecification


@dataclass(frozen=True, slots=True)
class TurnClaimed:
    """This delivery takes the turn, and nobody else does while it owns its message."""

    now_us: int
    deadline_ms: int
    terms: JobTerms
    attempt: int
    calls_used: int
    conversation_id: str
    trace_id: str
    messages: Sequence[str]
    """The whole conversation so far, each message as JSON."""

    @property
    def remaining_s(self) -> float:
        """What was left of the job's time when the turn was claimed, by Redis's clock."""
        return self.deadline_ms / 1000 - self.now_us / 1e6


@dataclass(frozen=True, slots=True)
class TurnNotOurs:
    """The turn was taken, is over, or its job has ended. The message is settled."""


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call that goes to its pool."""

    tool: ToolSpecification
    tool_call_id: str
    arguments: str


@dataclass(frozen=True, slots=True)
class RefusedCall:
    """A call that is answered at once."""

    tool: str
    tool_call_id: str
    arguments: str
    outcome: Outcome


def claim_turn(
    delivery: Delivery, delivered: Delivered, *, job_id: str, turn: int
) -> Command[TurnClaimed | TurnNotOurs]:
    """Takes a turn for this delivery, unless it is taken, over, or has killed too many processes."""

    def decode(answer: list[Any]) -> TurnClaimed | TurnNotOurs:
        if answer[0] != b"go":
            return TurnNotOurs()
        return TurnClaimed(
            now_us=int(answer[1]),
            deadline_ms=int(answer[2]),
            terms=JobTerms.model_validate_json(answer[3]),
            attempt=answer[4],
            calls_used=int(answer[5]),
            conversation_id=answer[6].decode(),
            trace_id=answer[7].decode(),
            messages=[message.decode() for message in answer[8:]],
        )

    words = (
        *delivery.fence,
        job_id,
        turn,
        delivery.crashes,
        MAX_CRASHES,
        delivered.model_dump_json(exclude_defaults=True),
    )
    return Command(load_script("ledger", "claim_turn"), words, decode)


def fan_out(
    delivery: Delivery,
    *,
    job_id: str,
    turn: int,
    assistant_message: str,
    facts: ModelFacts,
    calls: Sequence[OpenCall | RefusedCall],
) -> Command[bool]:
    """Records the assistant message and its calls, and sends each open call to its pool; one round trip.

    False if the turn is not this delivery's any more: then nothing has changed.
    """
    requested = tuple(_requested(index, call) for index, call in enumerate(calls))
    words: list[Word] = [
        *delivery.fence,
        job_id,
        turn,
        assistant_message,
        _answered_data(turn, facts, requested),
        facts.prompt_tokens or 0,
        facts.completion_tokens or 0,
        len(calls),
    ]
    for call in calls:
        id_json = json.dumps(call.tool_call_id)
        match call:
            case OpenCall(tool=tool):
                words += (tool.reference, tool.pool, tool.effect, tool.timeout_ms, call.arguments, id_json, "", "")
            case RefusedCall(outcome=outcome):
                words += (call.tool, "", "", "", call.arguments, id_json, outcome.kind, json.dumps(outcome.content))
    return Command(load_script("ledger", "fan_out"), words, bool)


def finish_job(
    delivery: Delivery,
    *,
    job_id: str,
    turn: int,
    state: TerminalState,
    assistant_message: str | None = None,
    answer: str | None = None,
    finish_reason: str | None = None,
    error: JobError | None = None,
    facts: ModelFacts | None = None,
    model_failed: str | None = None,
) -> Command[bool]:
    """Ends the job with the model's answer, or with an error. False if the turn is not this delivery's any more.

    `facts` are those of the model's answer or, if `model_failed` says how, of its failure.
    """
    data = ""
    if facts is not None:
        data = (
            _answered_data(turn, facts, ()) if model_failed is None else _failed_data(turn, facts, model_failed, None)
        )
    words = (
        *delivery.fence,
        job_id,
        turn,
        state,
        assistant_message or "",
        json.dumps(answer) if answer is not None else "",
        error.model_dump_json() if error else "",
        data,
        (facts and facts.prompt_tokens) or 0,
        (facts and facts.completion_tokens) or 0,
        json.dumps(finish_reason) if finish_reason is not None else "",
        "model_answered" if model_failed is None else "model_failed",
    )
    return Command(load_script("ledger", "finish_job"), words, bool)


def retry_turn(
    delivery: Delivery, *, job_id: str, turn: int, delay_ms: int, facts: ModelFacts | None, error: str
) -> Command[bool]:
    """Schedules the turn's next attempt. Without facts the model was not called, and the attempt does not count."""
    data = "" if facts is None else _failed_data(turn, facts, error, delay_ms)
    words = (*delivery.fence, job_id, turn, delay_ms, data)
    return Command(load_script("ledger", "retry_turn"), words, bool)


def _requested(index: int, call: OpenCall | RefusedCall) -> RequestedCall:
    match call:
        case OpenCall(tool=tool):
            return RequestedCall(
                index=index,
                tool=tool.reference,
                pool=tool.pool,
                arguments=call.arguments,
                tool_call_id=call.tool_call_id,
            )
        case RefusedCall(outcome=outcome):
            return RequestedCall(
                index=index,
                tool=call.tool,
                pool=None,
                arguments=call.arguments,
                tool_call_id=call.tool_call_id,
                outcome=outcome.kind,
            )


def _answered_data(turn: int, facts: ModelFacts, calls: Sequence[RequestedCall]) -> str:
    data: dict[str, object] = {"turn": turn, "facts": _facts(facts)}
    if calls:
        data["calls"] = [call.model_dump(exclude_defaults=True) | {"pool": call.pool} for call in calls]
    return json.dumps(data)


def _failed_data(turn: int, facts: ModelFacts, error: str, retry_in_ms: int | None) -> str:
    return json.dumps({"turn": turn, "facts": _facts(facts), "error": error, "retry_in_ms": retry_in_ms})


def _facts(facts: ModelFacts) -> dict[str, object]:
    return facts.model_dump(exclude_defaults=True)
