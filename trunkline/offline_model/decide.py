"""The decision: a request goes in, calls or an answer come out. Pure: no clock, no network, no randomness."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TypeAlias

from trunkline.offline_model.answer import write_answer
from trunkline.offline_model.conversation import Conversation, read_conversation
from trunkline.offline_model.json_values import Json
from trunkline.offline_model.offered import offered_tool
from trunkline.offline_model.plan import Plan, PlannedCall, make_plan
from trunkline.offline_model.relevance import Catalogue
from trunkline.offline_model.request import ChatRequest, FunctionDefinition, tool_choice


@dataclass(frozen=True, slots=True)
class Call:
    """A call for the caller to make; its id is unique in the conversation."""

    id: str
    tool: str
    arguments: dict[str, Json]


@dataclass(frozen=True, slots=True)
class CallTools:
    """The model wants these calls made."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The model's final answer."""

    text: str


Reply: TypeAlias = CallTools | Answer


def decide(request: ChatRequest, *, now: datetime) -> Reply:
    """What to reply to `request`; the same for the same request and the same `now`.

    Args:
        request: A checked request.
        now: What "tomorrow" is relative to, to the minute. Has it a UTC offset, then times are written with that.
    """
    now = now.replace(second=0, microsecond=0)
    conversation = read_conversation(request.messages)
    choice = tool_choice(request)
    catalogue = _catalogue(_spelled(choice.tools))
    if choice.mode == "none" or not choice.tools:
        return Answer(write_answer(conversation, None, catalogue.tools))
    forced = catalogue.tools[0] if choice.mode == "named" else None
    plan = make_plan(conversation, catalogue, now, forced=forced)
    if not plan.calls and choice.mode == "required" and not conversation.rounds:
        plan = _required_plan(conversation, catalogue, now)
    calls = plan.calls[:1] if request.parallel_tool_calls is False else plan.calls
    if calls:
        return CallTools(_with_ids(calls, request, conversation))
    return Answer(write_answer(conversation, plan, catalogue.tools))


def _required_plan(conversation: Conversation, catalogue: Catalogue, now: datetime) -> Plan:
    """A call must be made: of the tool that lacks least, one that changes nothing before one that does."""
    plans = [
        (make_plan(conversation, catalogue, now, forced=tool), catalogue.has_effect(tool), tool)
        for tool in catalogue.tools
    ]

    def lacking(entry: tuple[Plan, bool, object]) -> tuple[int, bool]:
        plan, effect, _ = entry
        return sum(len(lack.names) for lack in plan.lacks), effect

    return min(plans, key=lacking)[0]


def _with_ids(calls: Sequence[PlannedCall], request: ChatRequest, conversation: Conversation) -> tuple[Call, ...]:
    """Ids from a hash of all that went before, so that they repeat with the request and with nothing else."""
    history = hashlib.sha256()
    for message in request.messages:
        history.update(message.model_dump_json().encode())
    digest = history.hexdigest()
    return tuple(
        Call(f"call_{hashlib.sha256(f'{digest}/{index}'.encode()).hexdigest()[:24]}", call.tool, call.arguments)
        for index, call in enumerate(calls)
    )


def _spelled(tools: Sequence[FunctionDefinition]) -> str:
    return json.dumps([tool.model_dump() for tool in tools])


@lru_cache(maxsize=64)
def _catalogue(tools: str) -> Catalogue:
    """Reading schemas is most of the work, and a conversation offers the same tools every turn."""
    return Catalogue(
        [
            offered_tool(tool["name"], description=tool["description"] or "", parameters=tool["parameters"])
            for tool in json.loads(tools)
        ]
    )
