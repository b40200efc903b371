"""Decides what to call now: the steps of the request against the calls already made and their results.

A step whose values are all known is ready; one that needs a result waits until the calls before it are answered; one
that nothing can complete becomes a question. No call is made twice. This module must not write text for the user.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from trunkline.offline_model.conversation import Conversation, PastCall
from trunkline.offline_model.json_values import Json, canonical
from trunkline.offline_model.offered import OfferedTool, Parameter
from trunkline.offline_model.references import names_record
from trunkline.offline_model.relevance import Catalogue
from trunkline.offline_model.repair import repaired
from trunkline.offline_model.resolve import parameter_at, resolve
from trunkline.offline_model.results import Failed, Succeeded, records
from trunkline.offline_model.roles import Role
from trunkline.offline_model.steps import Step, detail_steps, forced_steps, read_steps

#: After so many rounds of calls on one request the answer is written from what there is.
MOST_ROUNDS: Final = 8
#: No more calls than these in one round.
MOST_CALLS: Final = 16


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call to make."""

    tool: str
    arguments: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Lack:
    """A step that cannot be made, and the parameters nothing gives a value for."""

    tool: OfferedTool
    names: tuple[str, ...]
    choices: tuple[dict[str, Json], ...] = ()
    """The records of which one would have to be chosen."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do next: calls to make now, or else what is lacking."""

    calls: tuple[PlannedCall, ...]
    lacks: tuple[Lack, ...]


def make_plan(
    conversation: Conversation, catalogue: Catalogue, now: datetime, *, forced: OfferedTool | None = None
) -> Plan:
    """The plan for the conversation's last request; `forced` is the one tool it is about, whatever it says."""
    if forced is not None:
        steps = forced_steps(forced, conversation, catalogue, now)
    else:
        steps = read_steps(conversation, catalogue, now) or _steps_of_named_records(conversation, catalogue)
        steps = _with_providers(steps, conversation, catalogue, now)
    planner = _Planner(conversation, catalogue)
    for step in sorted(steps, key=lambda step: bool(step.missing)):  # what lacks nothing may find what others lack
        planner.take(step)
    if forced is not None and not planner.calls and not conversation.rounds:
        planner.calls = [PlannedCall(step.tool.name, step.arguments) for step in steps[:1]]
    calls = () if conversation.rounds >= MOST_ROUNDS else tuple(planner.calls[:MOST_CALLS])
    return Plan(calls, tuple(planner.lacks))


class _Planner:
    """Goes through the steps in order and sorts them into calls to make and lacks."""

    def __init__(self, conversation: Conversation, catalogue: Catalogue) -> None:
        self.conversation = conversation
        self.catalogue = catalogue
        self.calls: list[PlannedCall] = []
        self.lacks: list[Lack] = []
        self._made = {_key(call.tool, call.arguments) for call in conversation.calls}

    def take(self, step: Step) -> None:
        """Plans one step."""
        if not step.missing:
            made = [call for call in self.conversation.calls if _carries_out(call, step)]
            if made:
                self._repair(step, made)
            else:
                self._call(step.tool, step.arguments)
            return
        if self.calls:  # the results of these may have what is missing
            return
        made = [call for call in self.conversation.calls if _carries_out(call, step)]
        if made and not _means_every(step.text):
            self._repair(step, made)
            return
        resolved = resolve(step, self.conversation, effect=self.catalogue.has_effect(step.tool))
        for arguments in resolved.arguments:
            self._call(step.tool, arguments)
        if not resolved.arguments:
            names = tuple(".".join(path) for path in resolved.missing)
            self.lacks.append(Lack(step.tool, names, resolved.choices))

    def _call(self, tool: OfferedTool, arguments: dict[str, Json]) -> None:
        order = [parameter.name for parameter in tool.parameters if parameter.name in arguments]
        arguments = {name: arguments[name] for name in order} | arguments
        key = _key(tool.name, arguments)
        if key not in self._made:
            self._made.add(key)
            self.calls.append(PlannedCall(tool.name, arguments))

    def _repair(self, step: Step, made: Sequence[PastCall]) -> None:
        """Tries once to mend arguments that were rejected."""
        outcome = made[-1].outcome
        rejections = [
            call
            for call in self.conversation.calls
            if call.tool == step.tool.name and isinstance(call.outcome, Failed) and call.outcome.kind == "rejected"
        ]
        if isinstance(outcome, Failed) and outcome.kind == "rejected" and len(rejections) == 1:
            mended = repaired(step.tool, made[-1].arguments, outcome.problems, step.text)
            if mended is not None:
                self._call(step.tool, mended)


def _steps_of_named_records(conversation: Conversation, catalogue: Catalogue) -> list[Step]:
    """ "Tell me more about 9 Elm Ave", where an earlier result has a record of that address."""
    results = (call.outcome.value for call in conversation.earlier_calls if isinstance(call.outcome, Succeeded))
    if not any(names_record(conversation.request, result) for result in results):
        return []
    return list(detail_steps(conversation.request, catalogue))


def _with_providers(steps: list[Step], conversation: Conversation, catalogue: Catalogue, now: datetime) -> list[Step]:
    """Puts a search in front of a step that needs the id of something the text only describes."""
    if not steps or any(_has_records(call) for call in conversation.earlier_calls):
        return steps
    completed: list[Step] = []
    for step in steps:
        for path in step.missing:
            parameter = parameter_at(step.tool, path)
            if parameter is None or parameter.role is not Role.IDENTIFIER:
                continue
            provider = _provider(step, parameter, conversation, catalogue, now)
            if provider is not None and not any(other.tool is provider.tool for other in steps):
                completed.append(provider)
        completed.append(step)
    return completed


def _provider(
    step: Step, parameter: Parameter, conversation: Conversation, catalogue: Catalogue, now: datetime
) -> Step | None:
    entity = parameter.stems - {"id", "number", "code"}
    for profile in catalogue.profiles:
        tool = profile.tool
        if profile.effects or not entity & set(profile.names) or tool.parameter(parameter.name) is not None:
            continue
        asked = replace(conversation, request=re.sub(r"\s+", " ", step.text), question=None)
        found = forced_steps(tool, asked, Catalogue([tool]), now)
        if found and not found[0].missing and found[0].arguments:
            return found[0]
    return None


def _has_records(call: PastCall) -> bool:
    return isinstance(call.outcome, Succeeded) and bool(records(call.outcome.value))


def _carries_out(call: PastCall, step: Step) -> bool:
    """Whether `call` has every argument that the text gives the step."""
    return call.tool == step.tool.name and all(
        name in call.arguments and _contains(call.arguments[name], value) for name, value in step.arguments.items()
    )


def _contains(whole: Json, part: Json) -> bool:
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(name in whole and _contains(whole[name], value) for name, value in part.items())
    return canonical(whole) == canonical(part)


def _key(tool: str, arguments: dict[str, Json]) -> tuple[str, str]:
    return tool, canonical(arguments)


def _means_every(text: str) -> bool:
    return re.search(r"\b(?:each|every|all|both)\b", text, re.IGNORECASE) is not None
