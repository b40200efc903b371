"""Turns a request into the steps it asks for: tools with the arguments that the text gives.

Steps are read from the text alone, anew in every turn and each time alike; what has been called already is for `plan`
to see. This module must not look at results.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Final

from trunkline.offline_model.arguments import fill_arguments
from trunkline.offline_model.clauses import Clause, Form, Utterance, read_utterance
from trunkline.offline_model.conversation import Conversation, PastCall
from trunkline.offline_model.filling import Filled, Path, Scope
from trunkline.offline_model.free_text import object_of
from trunkline.offline_model.json_values import Json, canonical
from trunkline.offline_model.mention import Kind
from trunkline.offline_model.offered import OfferedTool, Parameter
from trunkline.offline_model.references import points_at_record
from trunkline.offline_model.relevance import Catalogue, Match, choose
from trunkline.offline_model.roles import WORDED, Role
from trunkline.offline_model.schema_check import conforms

#: The score from which a clause may be about a tool when nothing scores higher: its one noun, shared by other tools.
_SECOND_CHANCE: Final = 0.5
_ELLIPSIS = re.compile(
    r"^\s*(?:and\s+|or\s+|ok(?:ay)?,?\s+)*(?:what about|how about|same for|and|or|also)\b", re.IGNORECASE
)
_DETAILS = re.compile(r"\b(?:more|details?|about|describe|info|information|show|look)\b", re.IGNORECASE)
_AGAIN = re.compile(r"\b(?:again|the same|repeat|another|once more)\b", re.IGNORECASE)
_DECLINED = re.compile(
    r"^\s*(?:no\b|nope|never ?mind|cancel|stop|forget|skip|thanks|thank you|ok(?:ay)?\W*$|none|nothing|i don['’]?t)"
    r"|^\s*(?:yes|yeah|sure|please)\W*$|\?\s*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One call the request asks for, as far as the text tells it."""

    tool: OfferedTool
    arguments: dict[str, Json]
    missing: tuple[Path, ...] = ()
    references: frozenset[Path] = frozenset()
    shares: tuple[tuple[Path, float], ...] = ()
    text: str = ""
    """The clause it comes from."""


def read_steps(conversation: Conversation, catalogue: Catalogue, now: datetime) -> list[Step]:
    """The steps that the conversation's last request asks for, in its order."""
    if conversation.question is not None:
        answered = _answered_steps(conversation, catalogue, now)
        if answered:
            return answered
    steps: tuple[Step, ...] = ()
    for whole, least in ((True, None), (False, None), (False, _SECOND_CHANCE)):
        steps = _steps(conversation.request, catalogue, now, whole=whole, least=least)
        if steps:
            break
    return [_like_before(step, conversation) for step in _merged(steps)] or _repeated_steps(
        conversation, catalogue, now
    )


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


@lru_cache(maxsize=512)
def _steps(text: str, catalogue: Catalogue, now: datetime, *, whole: bool, least: float | None) -> tuple[Step, ...]:
    """The steps in `text`. Remembered, because every turn on a request reads it again."""
    utterance = _utterance(text, catalogue, now, whole=whole)
    chosen = _chosen(utterance, catalogue, now, least)
    steps: list[Step] = []
    for clause, matches in chosen.items():
        for match in matches:
            scope = _scope(clause, utterance, chosen, match, now)
            steps.extend(_of_filled(match.tool, fill_arguments(match.tool, scope), clause.text))
        pointing = points_at_record(clause.text) or any(mention.kind is Kind.RESULT for mention in clause.mentions)
        if not matches and pointing:
            steps.extend(detail_steps(clause.text, catalogue))
    return tuple(_completed_from_each_other(steps))


def detail_steps(text: str, catalogue: Catalogue) -> Iterator[Step]:
    """ "Tell me more about the first one": the tool that only reads and needs nothing but an id."""
    if not _DETAILS.search(text):
        return
    for tool in catalogue.tools:
        required = [parameter for parameter in tool.parameters if parameter.required]
        if [parameter.role for parameter in required] == [Role.IDENTIFIER] and not catalogue.has_effect(tool):
            yield Step(tool, {}, ((required[0].name,),), text=text)
            return


def _chosen(
    utterance: Utterance, catalogue: Catalogue, now: datetime, least: float | None
) -> dict[Clause, list[Match]]:
    chosen: dict[Clause, list[Match]] = {}
    for clause in utterance.clauses:
        others = tuple(other for other in utterance.clauses if other is not clause)

        fits: dict[str, Filled] = {}

        def fit(
            match: Match, clause: Clause = clause, others: tuple[Clause, ...] = others, fits: dict[str, Filled] = fits
        ) -> Filled:
            if match.tool.name not in fits:
                scope = Scope(clause, others, (), match.name_words, utterance.text, now)
                fits[match.tool.name] = fill_arguments(match.tool, scope, several=False)
            return fits[match.tool.name]

        if least is None:
            chosen[clause] = choose(clause, catalogue, fit)
        elif clause.form is Form.ASKS:
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
    for arguments in filled.variants or (filled.arguments,):
        yield Step(tool, arguments, filled.missing, filled.references, filled.shares, text)


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


def _merged(steps: Sequence[Step]) -> list[Step]:
    """One step for what two clauses say about the same call, and none twice."""
    merged: list[Step] = []
    for step in steps:
        for index, other in enumerate(merged):
            if other.tool is step.tool and _agree(other.arguments, step.arguments):
                arguments = {**other.arguments, **step.arguments}
                missing = tuple(path for path in other.missing if path in step.missing)
                merged[index] = replace(other, arguments=arguments, missing=missing, shares=other.shares or step.shares)
                break
        else:
            merged.append(step)
    return merged


def _agree(one: dict[str, Json], other: dict[str, Json]) -> bool:
    return all(canonical(one[name]) == canonical(other[name]) for name in one.keys() & other.keys())


def _answered_steps(conversation: Conversation, catalogue: Catalogue, now: datetime) -> list[Step]:
    """The step we asked about, with what the user has answered; nothing if that was no answer."""
    question, reply = conversation.question, conversation.request
    tool = next((tool for tool in catalogue.tools if question and tool.name == question.tool), None)
    if tool is None or question is None or _DECLINED.search(reply) or _asked_steps(reply, catalogue, now):
        return []
    before = [step for step in _asked_steps(question.about, catalogue, now) if step.tool is tool]
    known = before[0] if before else Step(tool, {}, text=question.about)
    utterance = _utterance(reply, catalogue, now, whole=True)
    clause = _whole_clause(utterance)
    filled = fill_arguments(tool, Scope(clause, (), (), frozenset(), reply, now))
    arguments = {**filled.arguments, **known.arguments}
    tells = any(part.form is Form.TELLS for part in utterance.clauses)
    for name in () if tells else question.names:
        parameter = tool.parameter(name)
        if parameter is not None and name not in arguments:
            arguments |= _plain_answer(parameter, clause)
    missing = tuple(path for path in filled.missing if path[0] not in arguments)
    if not set(question.names) & set(arguments) and not points_at_record(reply) and len(reply.split()) > 6:
        return []
    text = reply if points_at_record(reply) else known.text
    return [Step(tool, arguments, missing, known.references - arguments.keys(), known.shares, text)]


def _plain_answer(parameter: Parameter, clause: Clause) -> dict[str, Json]:
    """The reply itself as the value asked for, if it can be one."""
    if parameter.type not in ("string", "any") or parameter.enum or parameter.role is Role.MOMENT:
        return {}
    if parameter.role in (Role.IDENTIFIER, Role.EMAIL, Role.URL, Role.SYMBOL):
        return {parameter.name: clause.text.strip()} if re.fullmatch(r"\s*[\w.:/@-]+\s*", clause.text) else {}
    text = clause.text.strip(" .!\"'")
    if parameter.role not in WORDED:
        text = object_of(clause, parameter, used=(), names=frozenset()) or text
    return {parameter.name: text} if conforms(text, parameter.schema) else {}


def _like_before(step: Step, conversation: Conversation) -> Step:
    """ "Roll again": what the text leaves open is as in the tool's last call."""
    last = next((call for call in reversed(conversation.earlier_calls) if call.tool == step.tool.name), None)
    if last is None or not _AGAIN.search(step.text):
        return step
    arguments = {**last.arguments, **step.arguments}
    return replace(step, arguments=arguments, missing=tuple(path for path in step.missing if path[0] not in arguments))


def _asked_steps(text: str, catalogue: Catalogue, now: datetime) -> list[Step]:
    return _merged(_steps(text, catalogue, now, whole=True, least=None))


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
        form=Form.ASKS,
        conditional=any(clause.conditional for clause in clauses),
    )
