"""The commands of a job's steps, made from the message that they are about, and what a model of the tests asks for."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from ledger import call_steps, turn_steps
from ledger.accepting import Acceptance, AcceptanceRules, accept
from ledger.call_steps import UNSAFE_GRACE, CallClaimed, CallNotOurs, CallPostponed
from ledger.turn_steps import OpenCall, RefusedCall, TurnClaimed, TurnNotOurs
from messaging.command import Command
from messaging.delivery import Delivery
from schemas.call import Outcome
from schemas.chat_job import ChatJob
from schemas.events import ModelFacts
from schemas.tool import Effect, ToolSpecification

POOL: Final = "pool"
OTHER_POOL: Final = "other_pool"
TOOL_TIMEOUT: Final = timedelta(minutes=1)
#: After this a lost unsafe call is waited for no longer.
UNSAFE_WAIT: Final = TOOL_TIMEOUT + UNSAFE_GRACE
FACTS: Final = ModelFacts(model="test", attempt=1, started_us=1, elapsed_us=1, prompt_tokens=3, completion_tokens=2)

Asked = OpenCall | RefusedCall
"""What the model asks for."""


def tool(*, effect: Effect = "read", pool: str = POOL) -> ToolSpecification:
    """What a pool would have published."""
    return ToolSpecification(
        name="look",
        version="1.0.0",
        description="A tool of the tests.",
        parameters={"type": "object"},
        pool=pool,
        effect=effect,
        timeout_ms=round(TOOL_TIMEOUT / timedelta(milliseconds=1)),
    )


def open_call(id: str = "call_0", *, effect: Effect = "read", pool: str = POOL) -> OpenCall:
    """A call that goes to its pool."""
    return OpenCall(tool(effect=effect, pool=pool), tool_call_id=id, arguments="{}")


def refused_call(id: str = "call_0", *, content: str = "There is no such tool.") -> RefusedCall:
    """A call that is answered at once."""
    return RefusedCall("nothing", id, "{}", Outcome(kind="rejected", content=content))


def assistant_message(calls: Sequence[Asked], *, content: str | None = None) -> str:
    """What the model says when it asks for `calls`."""
    tool_calls = [
        {"id": call.tool_call_id, "type": "function", "function": {"name": "f", "arguments": call.arguments}}
        for call in calls
    ]
    return json.dumps({"role": "assistant", "content": content, "tool_calls": tool_calls})


def accept_command(delivery: Delivery, rules: AcceptanceRules) -> Command[Acceptance]:
    """Accepts the job of an `accept_job` message, once however often it is delivered."""
    message = message_of(delivery)
    job = ChatJob.model_validate(message["kwargs"]["job"])
    return accept(job, rules, idempotency_key=f"message {message['message_id']}", delivery=delivery)


def message_of(delivery: Delivery) -> dict[str, Any]:
    """The message, in Dramatiq's encoding."""
    message: dict[str, Any] = json.loads(delivery.body)
    return message


def turn_of(delivery: Delivery) -> tuple[str, int]:
    """The job and turn that a message is about."""
    kwargs = message_of(delivery)["kwargs"]
    return kwargs["job_id"], kwargs["turn"]


def call_of(delivery: Delivery) -> dict[str, Any]:
    """The job, turn and index that a message is about, as arguments."""
    kwargs = message_of(delivery)["kwargs"]
    return {name: kwargs[name] for name in ("job_id", "turn", "index")}


def fan_out_command(delivery: Delivery, calls: Sequence[Asked], *, content: str | None = None) -> Command[bool]:
    """The model asked for calls."""
    job_id, turn = turn_of(delivery)
    message = assistant_message(calls, content=content)
    return turn_steps.fan_out(delivery, job_id=job_id, turn=turn, assistant_message=message, facts=FACTS, calls=calls)


def finish_command(delivery: Delivery, answer: str = "done") -> Command[bool]:
    """The model answered."""
    job_id, turn = turn_of(delivery)
    message = json.dumps({"role": "assistant", "content": answer})
    return turn_steps.finish_job(
        delivery,
        job_id=job_id,
        turn=turn,
        state="completed",
        assistant_message=message,
        answer=answer,
        finish_reason="stop",
        facts=FACTS,
    )


def claim_turn_command(delivery: Delivery) -> Command[TurnClaimed | TurnNotOurs]:
    """Takes the turn that a message is about."""
    job_id, turn = turn_of(delivery)
    return turn_steps.claim_turn(delivery, delivery.facts(), job_id=job_id, turn=turn)


def retry_turn_command(delivery: Delivery, *, delay_ms: int = 1000, called: bool = True) -> Command[bool]:
    """The model could not be reached, or was not called at all."""
    job_id, turn = turn_of(delivery)
    facts = FACTS if called else None
    return turn_steps.retry_turn(delivery, job_id=job_id, turn=turn, delay_ms=delay_ms, facts=facts, error="it is down")


def claim_call_command(delivery: Delivery) -> Command[CallClaimed | CallPostponed | CallNotOurs]:
    """Takes the call that a message is about."""
    return call_steps.claim_call(delivery, delivery.facts(), **call_of(delivery))


def outcome_command(delivery: Delivery, content: str = "found", **facts: Any) -> Command[bool]:
    """The tool succeeded."""
    outcome = Outcome(kind="succeeded", content=content)
    return call_steps.record_outcome(delivery, **call_of(delivery), outcome=outcome, **facts)


def retry_call_command(delivery: Delivery, *, delay: timedelta = timedelta(seconds=1)) -> Command[bool]:
    """The tool failed and is tried again."""
    return call_steps.retry_call(
        delivery, **call_of(delivery), attempt=1, delay=delay, elapsed=timedelta(0), error="try later"
    )
