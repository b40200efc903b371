"""Completes a step from results: the id of "the first one", the price of the cheapest, "it".

This module must not decide when a step's turn has come.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from trunkline.offline_model.conversation import Conversation, PastCall
from trunkline.offline_model.filling import Path
from trunkline.offline_model.formatting import result_lines
from trunkline.offline_model.json_values import Json, plain_number
from trunkline.offline_model.offered import OfferedTool, Parameter
from trunkline.offline_model.references import (
    field_of,
    lists_records,
    pointed_records,
    points_at_record,
    referred_value,
)
from trunkline.offline_model.results import Failed, Succeeded
from trunkline.offline_model.roles import WORDED, Role
from trunkline.offline_model.steps import Step

#: "Each of them" means at most so many.
MOST_EVERY: Final = 5
#: Roles whose value may be that of an earlier call in the conversation.
_REMEMBERED: Final = frozenset(
    {Role.PLACE, Role.IDENTIFIER, Role.URL, Role.EMAIL, Role.RECIPIENT, Role.PATH, Role.LANGUAGE, Role.SYMBOL}
)
_SEVERAL = re.compile(r"\b(?:details|results|findings|summary|information|info|list)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A step with all its values, once or for each record meant; or else what is still missing."""

    arguments: tuple[dict[str, Json], ...] = ()
    missing: tuple[Path, ...] = ()
    choices: tuple[dict[str, Json], ...] = ()
    """The records among which the text does not choose."""


def resolve(step: Step, conversation: Conversation, *, effect: bool) -> Resolved:
    """Completes `step` from the results in `conversation`; `effect` forbids to take any one record of several."""
    options = [step.arguments]
    missing: list[Path] = []
    choices: tuple[dict[str, Json], ...] = ()
    for path in step.missing:
        parameter = parameter_at(step.tool, path)
        found = _values(step, path, parameter, conversation, effect=effect) if parameter else _Found()
        if not found.values:
            missing.append(path)
            choices = choices or found.choices
        options = [_with(arguments, path, value) for arguments in options for value in found.values] or options
    if missing:
        return Resolved(missing=tuple(missing), choices=choices)
    return Resolved(tuple(with_shares(step, arguments) for arguments in options[:MOST_EVERY]))


@dataclass(frozen=True, slots=True)
class _Found:
    values: tuple[Json, ...] = ()
    choices: tuple[dict[str, Json], ...] = ()


def with_shares(step: Step, arguments: dict[str, Json]) -> dict[str, Json]:
    """`arguments` with the percentages of a sum that is known by now."""
    for path, percent in step.shares:
        sums = (
            arguments[parameter.name]
            for parameter in step.tool.parameters
            if parameter.role is Role.MONEY and parameter.name in arguments
        )
        whole = next(sums, None)
        if isinstance(whole, int | float):
            arguments = _with(arguments, path, plain_number(round(whole * percent / 100, 2)))
    return arguments


def parameter_at(tool: OfferedTool, path: Path) -> Parameter | None:
    """The parameter at `path`, in nested objects too."""
    found = tool.parameter(path[0])
    for name in path[1:]:
        found = next((p for p in found.properties if p.name == name), None) if found else None
    return found


def _values(step: Step, path: Path, parameter: Parameter, conversation: Conversation, *, effect: bool) -> _Found:
    """The values for one parameter."""
    past = list(_latest_first(conversation, effect=effect))
    if path in step.references:
        return _Found(tuple(_referred(step, parameter, conversation, effect=effect)))
    chooses = points_at_record(step.text)
    if not chooses:
        remembered = _remembered(parameter, past)
        if remembered is not None:
            return _Found((remembered,))
    results = [call.outcome.value for call in past if isinstance(call.outcome, Succeeded)]
    if chooses:
        results = [result for result in results if lists_records(result)] or results
    best: tuple[int, _Found] | None = None
    for result in results:
        found = _from_records(step, parameter, result, effect=effect)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
    return best[1] if best else _Found()


def _from_records(step: Step, parameter: Parameter, result: Json, *, effect: bool) -> tuple[int, _Found] | None:
    """The values that the records pointed at have, and how far their field's name is from the parameter's."""
    pointed = pointed_records(step.text, result)
    found = [field for record in pointed.records if (field := field_of(record, parameter)) is not None]
    if not found:
        return None
    distance = min(rank for rank, _ in found)
    values = tuple(value for _, value in found)
    if pointed.every:
        return distance, _Found(values[:MOST_EVERY])
    if not pointed.certain and parameter.role is Role.IDENTIFIER and effect:
        return distance, _Found(choices=pointed.records)
    return distance, _Found(values[:1])


def _referred(step: Step, parameter: Parameter, conversation: Conversation, *, effect: bool) -> list[Json]:
    """What "it", "the result" or "the details" stand for."""
    texts = parameter.role in WORDED and not parameter.numeric
    if texts and _SEVERAL.search(step.text) and conversation.calls:
        lines = [_told(call) for call in conversation.calls if isinstance(call.outcome, Succeeded)]
        return ["\n".join(lines)] if lines else []
    for call in _latest_first(conversation, effect=effect):
        if not isinstance(call.outcome, Succeeded):
            continue
        value = referred_value(call.outcome.value, parameter)
        if value is None and texts:
            value = _told(call)
        if value is not None:
            return [value]
    return []


def _told(call: PastCall) -> str:
    return "\n".join(result_lines(call.outcome.value)) if isinstance(call.outcome, Succeeded) else ""


def _remembered(parameter: Parameter, past: Sequence[PastCall]) -> Json:
    """The value an earlier call had for a parameter of this name."""
    if parameter.role not in _REMEMBERED:
        return None
    for call in past:
        if parameter.name in call.arguments and not isinstance(call.outcome, Failed):
            return call.arguments[parameter.name]
    return None


def _latest_first(conversation: Conversation, *, effect: bool) -> Iterator[PastCall]:
    """The calls to take values from. Where one of this request failed, no effect is caused on what was before it."""
    yield from reversed(conversation.calls)
    if not (effect and any(isinstance(call.outcome, Failed) for call in conversation.calls)):
        yield from reversed(conversation.earlier_calls)


def _with(arguments: dict[str, Json], path: Path, value: Json) -> dict[str, Json]:
    if len(path) == 1:
        return {**arguments, path[0]: value}
    inner = arguments.get(path[0])
    return {**arguments, path[0]: _with(inner if isinstance(inner, dict) else {}, path[1:], value)}
