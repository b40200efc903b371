"""What follows from the model's answer. Pure: values in, a step out.

Whatever a model says wrong has a defined, bounded answer: a call that cannot be sent is answered at once and the model
sees why; reaching a limit ends the job and says which.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ledger.turn_steps import OpenCall, RefusedCall
from orchestrator.model_client import ModelAnswer, ModelCall
from orchestrator.tool_offer import ToolOffer
from schemas.call import Outcome
from schemas.chat_job import JobLimits
from schemas.job_result import JobError

_MOST_NAMES_LISTED = 30


@dataclass(frozen=True, slots=True)
class Finish:
    """The model has answered: the job completes."""

    assistant_message: str
    answer: str


@dataclass(frozen=True, slots=True)
class CallTools:
    """The model asks for tools."""

    assistant_message: str
    calls: Sequence[OpenCall | RefusedCall]


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The answer is of no use; asking again may help."""

    reason: str


@dataclass(frozen=True, slots=True)
class Fail:
    """The job cannot go on."""

    error: JobError


Step = Finish | CallTools | TryAgain | Fail


@dataclass(frozen=True, slots=True)
class TurnSituation:
    """What the decision depends on besides the answer."""

    job_id: str
    turn: int
    calls_used: int
    limits: JobLimits
    offer: ToolOffer
    fail_without_worker: bool = False
    known_call_ids: Collection[str] = field(default_factory=frozenset)
    """Ids of the conversation's earlier calls."""


def next_step(answer: ModelAnswer, situation: TurnSituation) -> Step:
    """Decides what follows from `answer`."""
    if answer.calls:
        return _limit_reached(answer, situation) or _call_tools(answer, situation)
    if answer.finish_reason == "content_filter":
        return Fail(JobError(code="model_answer", message="the endpoint's content filter withheld the model's answer"))
    text = answer.content or answer.refusal
    if text is None:
        why = "with neither text nor calls"
        if answer.finish_reason == "length":
            message = f"the model answered {why}: its token limit was used up; raise max_completion_tokens"
            return Fail(JobError(code="model_answer", message=message))
        return TryAgain(f"the model answered {why}")
    said = {"role": "assistant", "content": answer.content, "refusal": answer.refusal}
    return Finish(assistant_message=_json({k: v for k, v in said.items() if v is not None}), answer=text)


def _limit_reached(answer: ModelAnswer, situation: TurnSituation) -> Fail | None:
    limits, asked = situation.limits, len(answer.calls)
    if situation.turn >= limits.turns:
        return _limit("turns", f"the model still asked for tools in turn {situation.turn}, the last of {limits.turns}")
    if asked > limits.calls_per_turn:
        return _limit(
            "calls_per_turn", f"the model asked for {asked} calls in one turn; {limits.calls_per_turn} are allowed"
        )
    if situation.calls_used + asked > limits.calls:
        used = situation.calls_used
        return _limit(
            "calls", f"the model asked for {asked} more calls after {used}; {limits.calls} are allowed in all"
        )
    return None


def _limit(name: str, what: str) -> Fail:
    return Fail(
        JobError(code=f"limit_{name}", message=f"{what}; hand the job in with a higher limits.{name} if that is right")
    )


def _call_tools(answer: ModelAnswer, situation: TurnSituation) -> CallTools:
    ids = _unique_ids(answer.calls, situation)
    calls = [_checked(call, id, situation) for call, id in zip(answer.calls, ids, strict=True)]
    message: dict[str, object] = {"role": "assistant", "content": answer.content}
    message["tool_calls"] = [
        {
            "id": id,
            "type": "function",
            # What is kept goes back to the model's API, and some endpoints refuse arguments that are no JSON object.
            "function": {"name": _sendable_name(call.name), "arguments": _sendable_arguments(call.arguments)},
        }
        for call, id in zip(answer.calls, ids, strict=True)
    ]
    return CallTools(assistant_message=_json(message), calls=calls)


def _unique_ids(calls: Sequence[ModelCall], situation: TurnSituation) -> list[str]:
    """The model's own ids, and ours where one is empty or was used before: endpoints repeat `call_0` every turn."""
    used = set(situation.known_call_ids)
    ids = []
    for index, call in enumerate(calls):
        id = call.id
        if not id or id in used:
            ulid = situation.job_id.rpartition("_")[2]
            id = f"call_{ulid}_{situation.turn}_{index}"
        used.add(id)
        ids.append(id)
    return ids


def _checked(call: ModelCall, id: str, situation: TurnSituation) -> OpenCall | RefusedCall:
    def refused(kind: str, content: str, tool: str = call.name) -> RefusedCall:
        outcome = Outcome.model_validate({"kind": kind, "content": content})
        return RefusedCall(tool=tool, tool_call_id=id, arguments=call.arguments, outcome=outcome)

    tool = situation.offer.find(call.name)
    if tool is None:
        names = [tool.name for tool in situation.offer.tools]
        known = ", ".join(names[:_MOST_NAMES_LISTED]) or "none"
        return refused("rejected", f"There is no tool {call.name!r}. The tools are: {known}.")
    problem = _problem_with_arguments(call.arguments)
    if problem:
        return refused("rejected", f"The arguments of {call.name} are not a JSON object: {problem}.", tool.reference)
    if situation.fail_without_worker and tool.reference in situation.offer.without_worker:
        text = f"The pool {tool.pool!r} of {call.name} has no living worker, so the tool was not run."
        return refused("failed", text, tool.reference)
    return OpenCall(tool=tool, tool_call_id=id, arguments=call.arguments)


def _problem_with_arguments(arguments: str) -> str | None:
    try:
        value = json.loads(arguments)
    except ValueError as error:
        return str(error)
    except RecursionError:
        return "it is nested too deeply"
    return None if isinstance(value, dict) else f"it is {_json_kind(value)}"


def _json_kind(value: object) -> str:
    kinds = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return kinds.get(type(value), "null")


def _sendable_arguments(arguments: str) -> str:
    return "{}" if _problem_with_arguments(arguments) else arguments


def _sendable_name(name: str) -> str:
    cleaned = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)[:64]
    return cleaned or "unnamed"


def _json(value: object) -> str:
    return json.dumps(value)  # ASCII: half a surrogate pair from a model must not break the ledger
