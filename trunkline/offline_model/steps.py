"""Turns a request into the steps it asks for: tools with the arguments that the text gives.

Steps are read from the text alone, anew in every turn and each time alike; what has been called already is for `plan`
to see. This module must not look at results.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from trunkline.offline_model.arguments import fill_arguments
from trunkline.offline_model.clauses import Clause, Utterance, read_utterance
from trunkline.offline_model.conversation import Conversation, PastCall
from trunkline.offline_model.filling import Filled, Path, Scope
from trunkline.offline_model.json_values import Json, canonical
from trunkline.offline_model.offered import OfferedTool
from trunkline.offline_model.relevance import Catalogue, Match, choose

#: The score from which a clause may be about a tool when nothing scores higher: its one noun, shared by other tools.
_SECOND_CHANCE: Final = 0.5
_ELLIPSIS = re.compile(r"^\s*(?:and\s+|or\s+|ok(?:ay)?,?\s+)*(?:what about|how about|same for|and|or|also)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Step:
    """One call the request asks for, as far as the text tells it."""

    tool: OfferedTool
    arguments: dict[str, Json]
    missing: tuple[Path, ...] = ()
    references: frozenset[Path] = frozenset()
    text: str = ""
    """The clause it comes from."""


def read_steps(conversation: Conversation, catalogue: Catalogue, now: datetime) -> list[Step]:
    """The steps that the conversation's last request asks for, in its order."""
    if conversation.question is not None:
        answered = _answered_steps(conversation, catalogue, now)
        if answered:
            return answered
    steps: list[Step] = []
    for whole, least in ((True, None), (False, None), (False, _SECOND_CHANCE)):
        utterance = _utterance(conversation.request, catalogue, now, whole=whole)
        steps = _steps(utterance, catalogue, now, least=least)
        if steps:
            break
    return _merged(steps) or _repeated_steps(conversation, catalogue, now)


def forced_steps(tool: OfferedTool, conversation: Conversation, catalogue: Catalogue, now: datetime) -> list[Step]:
    """The steps for `tool`, whether the request is about it or not."""
    steps = [step for step in read_steps(conversation, catalogue, now) if step.tool.name == tool.name]
    if steps:
        return steps
    text = conversation.request
    utterance = _utterance(text, catalogue, now, whole=True)
    clause = _whole_clause(utterance)
    matches = Catalogue([tool]).matches(clause, least=0.0)
    names = matches[0].name_words if matches else frozenset[int]()
    return list(_of_filled(tool, fill_arguments(tool, Scope(clause, (), (), names, text, now)), text))


def _steps(utterance: Utterance, catalogue: Catalogue, now: datetime, *, least: float | None) -> list[Step]:
    chosen = _chosen(utterance, catalogue, now, least)
    steps: list[Step] = []
    for clause, matches in chosen.items():
        for match in matches:
            scope = _scope(clause, utterance, chosen, match, now)
            steps.extend(_of_filled(match.tool, fill_arguments(match.tool, scope), clause.text))
    return _completed_from_each_other(steps)


def _chosen(
    utterance: Utterance, catalogue: Catalogue, now: datetime, least: float | None
) -> dict[Clause, list[Match]]:
    chosen: dict[Clause, list[Match]] = {}
    for clause in utterance.clauses:
        others = tuple(other for other in utterance.clauses if other is not clause)

        def fillable(match: Match, clause: Clause = clause, others: tuple[Clause, ...] = others) -> bool:
            filled = fill_arguments(match.tool, Scope(clause, others, (), match.name_words, utterance.text, now))
            return set(filled.missing) <= filled.references

        if least is None:
            chosen[clause] = choose(clause, catalogue, fillable)
        elif clause.asks:
            chosen[clause] = catalogue.matches(clause, least=least)[:1]
    return chosen


def _scope(
    clause: Clause, utterance: Utterance, chosen: dict[Clause, list[Match]], match: Match, now: datetime
) -> Scope:
    """Clauses that ask for no tool count as part of the nearest ones that do."""
    order = list(utterance.clauses)
    here = order.index(clause)
    nearby: list[Clause] = []
    for direction in (range(here - 1, -1, -1), range(here + 1, len(order))):
        for index in direction:
            if chosen.get(order[index]):
                break
            nearby.append(order[index])
    elsewhere = tuple(other for other in order if other is not clause and other not in nearby)
    return Scope(clause, tuple(nearby), elsewhere, match.name_words, utterance.text, now)


def _of_filled(tool: OfferedTool, filled: Filled, text: str) -> Iterator[Step]:
    step = Step(tool, filled.arguments, filled.missing, filled.references, text)
    yield step
    for arguments in filled.variants:
        yield replace(step, arguments=arguments)


def _completed_from_each_other(steps: list[Step]) -> list[Step]:
    """A value that one step lacks and another has under the same name: "the price and the availability of the lamp"."""
    completed: list[Step] = []
    for step in steps:
        lent = {
            path[0]: other.arguments[path[0]]
            for path in step.missing
            for other in steps
            if other is not step and len(path) == 1 and path not in step.references and path[0] in other.arguments
        }
        missing = tuple(path for path in step.missing if path[0] not in lent)
        completed.append(replace(step, arguments={**step.arguments, **lent}, missing=missing))
    return completed


def _merged(steps: list[Step]) -> list[Step]:
    """One step for what two clauses say about the same call, and none twice."""
    merged: list[Step] = []
    for step in steps:
        for index, other in enumerate(merged):
            if other.tool is step.tool and _agree(other.arguments, step.arguments):
                arguments = {**other.arguments, **step.arguments}
                missing = tuple(path for path in other.missing if path in step.missing)
                merged[index] = replace(other, arguments=arguments, missing=missing)
                break
        else:
            merged.append(step)
    return merged


def _agree(one: dict[str, Json], other: dict[str, Json]) -> bool:
    return all(canonical(one[name]) == canonical(other[name]) for name in one.keys() & other.keys())


def _answered_steps(conversation: Conversation, catalogue: Catalogue, now: datetime) -> list[Step]:
    """The step we asked about, with what the user has answered."""
    question = conversation.question
    tool = next((tool for tool in catalogue.tools if question and tool.name == question.tool), None)
    if tool is None or question is None or _steps(_utterance(conversation.request, catalogue, now, whole=True), catalogue, now, least=None):
        return []
    answer = _whole_clause(_utterance(conversation.request, catalogue, now, whole=True))
    before = [step for step in _asked_steps(question.about, catalogue, now) if step.tool is tool]
    known = before[0].arguments if before else {}
    filled = fill_arguments(tool, Scope(answer, (), (), frozenset(), conversation.request, now))
    arguments = {**filled.arguments, **known}
    for name in question.names:
        parameter = tool.parameter(name)
        if name not in arguments and parameter is not None and parameter.type == "string" and not parameter.enum:
            arguments[name] = conversation.request.strip(" .!\"'")
    if not set(question.names) & set(arguments):
        return []
    missing = tuple(path for path in filled.missing if path[0] not in arguments)
    return [Step(tool, arguments, missing, text=f"{question.about}\n{conversation.request}")]


def _asked_steps(text: str, catalogue: Catalogue, now: datetime) -> list[Step]:
    return _merged(_steps(_utterance(text, catalogue, now, whole=True), catalogue, now, least=None))


def _repeated_steps(conversation: Conversation, catalogue: Catalogue, now: datetime) -> list[Step]:
    """ "And in Berlin?": the calls of before, with what the text changes; nothing if it changes nothing."""
    if not _ELLIPSIS.match(conversation.request) or not conversation.earlier_calls:
        return []
    clause = _whole_clause(_utterance(conversation.request, catalogue, now, whole=True))
    steps: list[Step] = []
    for call in _last_calls(conversation.earlier_calls):
        tool = next((tool for tool in catalogue.tools if tool.name == call.tool), None)
        if tool is None or catalogue.has_effect(tool):
            continue
        filled = fill_arguments(tool, Scope(clause, (), (), frozenset(), conversation.request, now))
        if filled.arguments:
            steps.append(Step(tool, {**call.arguments, **filled.arguments}, text=conversation.request))
    return _merged(steps)


def _last_calls(calls: Sequence[PastCall]) -> Iterator[PastCall]:
    """The last call of each tool."""
    yield from {call.tool: call for call in calls}.values()


def _utterance(text: str, catalogue: Catalogue, now: datetime, *, whole: bool) -> Utterance:
    return read_utterance(text, now=now, tool_words=catalogue.tool_words(), whole=whole)


def _whole_clause(utterance: Utterance) -> Clause:
    """The whole request as one clause."""
    clauses = utterance.clauses
    return Clause(
        text=utterance.text,
        start=0,
        end=len(utterance.text),
        words=tuple(word for clause in clauses for word in clause.words),
        mentions=utterance.mentions,
        asks=any(clause.asks for clause in clauses),
        conditional=any(clause.conditional for clause in clauses),
    )
