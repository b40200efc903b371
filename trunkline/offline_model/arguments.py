"""Fills the parameters of a chosen tool from what the request says.

First what is given letter by letter (JSON, `name=value`), then closed sets, then all pairs of a mention and a
parameter, the best first, then lists and objects, and last running text. A value that is not in the text is not made
up: the parameter is reported as missing. This module must not look at results of earlier calls.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from trunkline.offline_model.arithmetic import conversion_in, expression_in
from trunkline.offline_model.choices import chosen_values, preferred, yes_or_no
from trunkline.offline_model.clauses import Clause
from trunkline.offline_model.filling import Filled, Filling, Leaf, Scope
from trunkline.offline_model.fits import OPTIONAL_THRESHOLD, REQUIRED_BONUS, fit_mention
from trunkline.offline_model.free_text import (
    bare_place,
    labelled_text,
    lower_case_places,
    marked_text,
    named_text,
    object_of,
)
from trunkline.offline_model.json_values import Json, plain_number
from trunkline.offline_model.lists import fill_lists, variants
from trunkline.offline_model.mention import NUMERIC, Kind, Mention
from trunkline.offline_model.number_fits import fit_number
from trunkline.offline_model.offered import OfferedTool, Parameter
from trunkline.offline_model.roles import MEASURES, TIME_UNITS, WORDED, Role

#: What other clauses may lend to a tool: things one speaks of once.
_SHARED: Final = frozenset(
    {Kind.PLACE, Kind.PROPER, Kind.URL, Kind.EMAIL, Kind.IDENTIFIER, Kind.PHONE, Kind.PATH, Kind.MOMENT, *NUMERIC}
)
#: Roles whose value may be given without any mark, as the rest of the clause.
_OBJECTS: Final = WORDED | {Role.PERSON, Role.SYMBOL}

_SUBTRACTION = re.compile(r"\b(?:subtract|take|deduct)\b.*\d.*\bfrom\b\s*(?:-?\d|it|that|this|the)", re.IGNORECASE)

#: Values of an enum that a kind of address stands for.
_CHANNELS: Final = {
    Kind.EMAIL: frozenset({"email", "e-mail", "mail"}),
    Kind.PHONE: frozenset({"sms", "text", "phone"}),
    Kind.URL: frozenset({"web", "url", "link"}),
}

_Pair = tuple[float, Mention, int, Json, str]


def fill_arguments(tool: OfferedTool, scope: Scope, *, several: bool = True) -> Filled:
    """Fills `tool` from `scope`; `several` looks for more than one argument set as well."""
    filling = Filling(tool, tool.parameters, scope)
    for name, value in _literal_arguments(tool, scope).items():
        for leaf in filling.leaves:
            if leaf.path == (name,):
                filling.put(leaf, value)
    filled = _fill(filling)
    if filled.missing or not several:
        return filled
    return replace(filled, variants=variants(filling, filled.arguments))


def _fill(filling: Filling) -> Filled:
    _fill_labelled(filling)
    _fill_choices(filling)
    _fill_from_mentions(filling)
    fill_lists(filling, _fill_item)
    _fill_channels(filling)
    _turn_subtraction(filling)
    _fill_special(filling)
    _fill_marked(filling)
    _fill_from_objects(filling)
    _fill_shares(filling)
    return filling.filled()


def _fill_item(filling: Filling, properties: Sequence[Parameter], scope: Scope) -> Filled:
    """Fills one object of an array; what the outer parameters used is not used again."""
    return _fill(Filling(filling.tool, properties, scope, spans=list(filling.spans)))


def _literal_arguments(tool: OfferedTool, scope: Scope) -> dict[str, Json]:
    """A JSON object in the text that is the arguments."""
    names = {parameter.name for parameter in tool.parameters}
    for mention in (m for clause in scope.own for m in clause.mentions if m.kind is Kind.JSON):
        value = json.loads(mention.text)
        if isinstance(value, dict) and set(value) <= names:
            return value
        nested = next((p.name for p in tool.parameters if p.type == "object" and not p.properties), None)
        if nested is not None:
            return {nested: value}
    return {}


def _fill_labelled(filling: Filling) -> None:
    strings = [leaf.parameter for leaf in filling.leaves if leaf.parameter.type in ("string", "any")]
    roles = _OBJECTS | {Role.PLACE, Role.UNIT, Role.IDENTIFIER}
    for leaf in filling.open_leaves(*roles):
        for clause in filling.scope.own:
            value = labelled_text(leaf.parameter, clause.text, strings)
            if value and leaf.parameter.type in ("string", "any"):
                filling.put(leaf, value, _span(clause, value))


def _fill_choices(filling: Filling) -> None:
    for leaf in filling.open_leaves(Role.BOOLEAN):
        for clause in filling.scope.own:
            flag = yes_or_no(leaf.parameter, clause.text, clause.words)
            if flag is not None:
                filling.put(leaf, flag.value, (flag.start, flag.end))
    for leaf in filling.open_leaves(Role.ENUM):
        for clause in filling.scope.all if leaf.required else filling.scope.own:
            choices = chosen_values(leaf.parameter, clause.words, clause.mentions)
            free = [choice for choice in choices if not filling.is_used(choice.start, choice.end)]
            choice = preferred(leaf.parameter, free, clause.words)
            if choice is not None:
                filling.put(leaf, choice.value, (choice.start, choice.end))
        if len(leaf.parameter.enum) == 1 and leaf.required:
            filling.put(leaf, leaf.parameter.enum[0])


def _fill_from_mentions(filling: Filling) -> None:
    """Takes the best pair of a mention and a parameter, then the best of the rest, and so on."""
    pairs = sorted(_pairs(filling), key=lambda pair: (-pair[0], pair[1].start, pair[2]))
    for _, mention, index, value, facet in pairs:
        leaf = filling.leaves[index]
        if leaf.path in filling.values or leaf.path in filling.shares or leaf.path in filling.references:
            continue
        if filling.is_used(mention.start, mention.end, facet):
            continue
        if mention.kind is Kind.RESULT:
            filling.references.add(leaf.path)
            filling.use((mention.start, mention.end))
        elif facet == "share" and isinstance(value, int | float):
            filling.shares[leaf.path] = value
            filling.use((mention.start, mention.end))
        elif filling.put(leaf, value, (mention.start, _end(mention, leaf)), facet=facet):
            filling.sources[leaf.path] = mention


def _end(mention: Mention, leaf: Leaf) -> int:
    """A number's unit is used up with it, if it measures the parameter; in "two apples" the apples are not."""
    unit = mention.unit[:1]
    measures = unit and (unit[0] in TIME_UNITS or unit[0] in MEASURES or unit[0] in leaf.parameter.stems)
    return mention.unit_end if measures else mention.end


def _fill_channels(filling: Filling) -> None:
    """ "Send bob@example.com a message": the address says that `channel` is email."""
    kinds = {mention.kind for mention in filling.sources.values()}
    for leaf in filling.open_leaves(Role.ENUM):
        for kind in _CHANNELS.keys() & kinds if leaf.required else ():
            value = next((value for value in leaf.parameter.enum if str(value).lower() in _CHANNELS[kind]), None)
            if value is not None:
                filling.put(leaf, value)


def _pairs(filling: Filling) -> Iterator[_Pair]:
    for index, leaf in enumerate(filling.leaves):
        if leaf.path in filling.values:
            continue
        threshold = 0.0 if leaf.required else OPTIONAL_THRESHOLD
        for clause in filling.scope.all:
            shared = clause not in filling.scope.own
            for mention in clause.mentions:
                if shared and not (mention.kind in _SHARED and (leaf.required or mention.kind is Kind.PLACE)):
                    continue
                fit = _fit(filling, leaf, mention, shared=shared)
                if fit is not None and fit[0] > threshold:
                    yield (fit[0], mention, index, fit[1], fit[2])


def _fit(filling: Filling, leaf: Leaf, mention: Mention, *, shared: bool) -> tuple[float, Json, str] | None:
    """Score, value and facet of one pair; what is said in another clause counts half."""
    parameter = leaf.parameter
    if parameter.enum:
        return None
    weight = 0.5 if shared else 1.0
    if mention.kind is Kind.RESULT:
        wanted = leaf.required and not shared and (parameter.numeric or parameter.role in WORDED)
        return (0.3 if parameter.numeric else 0.2, None, "whole") if wanted else None
    if mention.kind in NUMERIC:
        return _fit_number(filling, leaf, mention, shared=shared)
    if parameter.type not in ("string", "any"):
        return None
    fit = fit_mention(parameter, mention, tool=filling.tool, now=filling.scope.now)
    return (fit.score * weight, fit.value, fit.facet) if fit else None


def _fit_number(filling: Filling, leaf: Leaf, mention: Mention, *, shared: bool) -> tuple[float, Json, str] | None:
    parameter = leaf.parameter
    if parameter.role is Role.IDENTIFIER and parameter.type == "string":
        entity = (parameter.stems | {"id", "number"}) & set(mention.before[-2:])
        return (1.2, mention.text, "whole") if entity and mention.kind is Kind.NUMBER else None
    if not parameter.numeric:
        return None
    fit = fit_number(parameter, mention, tool=filling.tool, text=filling.scope.text)
    if fit is None or (shared and (mention.bound or fit.score < REQUIRED_BONUS + 1.2)):
        return None
    return (fit.score * (0.5 if shared else 1.0), fit.value, "share" if fit.share else "whole")


def _turn_subtraction(filling: Filling) -> None:
    """ "Subtract 3 from 10" names the second operand first."""
    numeric = [leaf.path for leaf in filling.leaves if leaf.parameter.numeric and leaf.required]
    if len(numeric) != 2 or not _SUBTRACTION.search(filling.scope.clause.text):
        return
    first, second = numeric
    if second in filling.references and first in filling.sources:
        filling.values[second] = filling.values.pop(first)
        filling.references = {first}
    elif {*numeric} <= filling.sources.keys() and filling.sources[first].start < filling.sources[second].start:
        filling.values[first], filling.values[second] = filling.values[second], filling.values[first]


def _fill_special(filling: Filling) -> None:
    """Arithmetic, units, currencies, and places that are written small."""
    clause = filling.scope.clause
    for leaf in filling.open_leaves(Role.EXPRESSION):
        expression = next((found for c in filling.scope.own if (found := expression_in(c.text))), None)
        if expression:
            filling.put(leaf, expression, (clause.start, clause.end))
    units = conversion_in(clause.text, bare=True)
    for leaf in filling.open_leaves(Role.UNIT):
        if units and leaf.parameter.direction:
            filling.put(leaf, units[0] if leaf.parameter.direction == "from" else units[1])
    for leaf in filling.open_leaves(Role.CURRENCY):
        money = next((m for m in filling.mentions() if m.kind is Kind.MONEY and m.currency), None)
        source = leaf.parameter.direction == "from" or (leaf.required and leaf.parameter.direction is None)
        if money is not None and source:
            filling.put(leaf, money.currency)
    for leaf in filling.open_leaves(Role.PLACE):
        for place in lower_case_places(clause, filling.used_spans(), leaf.parameter.direction)[:1]:
            filling.put(leaf, place[0], (place[1], place[2]))
        bare = bare_place(clause, names=filling.scope.names) if leaf.required else None
        if bare is not None:
            filling.put(leaf, bare, _span(clause, bare))


def _fill_marked(filling: Filling) -> None:
    """Texts that a word announces; the parameter's own name does so only if there are several texts to tell apart."""
    several = sum(leaf.required and leaf.parameter.role in _OBJECTS for leaf in filling.leaves) > 1
    for leaf in filling.open_leaves(*_OBJECTS, Role.IDENTIFIER):
        for clause in filling.scope.own:
            if leaf.parameter.type not in ("string", "any"):
                continue
            marked = marked_text(leaf.parameter, clause.text, filling.tool.parts)
            if marked is None and leaf.required and several:
                marked = named_text(leaf.parameter, clause.text)
            if marked and not filling.is_used(*_span(clause, marked)):
                filling.put(leaf, marked, _span(clause, marked))


def _fill_from_objects(filling: Filling) -> None:
    """Gives required texts what is left of the clause; a title last, after what it would be the title of."""
    wanting = [leaf for leaf in filling.open_leaves(*_OBJECTS) if leaf.required and leaf.parameter.type != "boolean"]
    clause = filling.scope.clause
    for leaf in sorted(wanting, key=lambda leaf: leaf.parameter.role is Role.TITLE):
        if leaf.path in filling.references or leaf.parameter.type not in ("string", "any"):
            continue
        text = object_of(clause, leaf.parameter, used=filling.used_spans(), names=filling.scope.names)
        if text and not (leaf.parameter.role is Role.PERSON and len(text.split()) > 3):
            filling.put(leaf, text, _span(clause, text))


def _fill_shares(filling: Filling) -> None:
    """ "20% down": a percentage of the first sum among the other parameters."""
    for path, percent in filling.shares.items():
        sums = (
            filling.values[leaf.path]
            for leaf in filling.leaves
            if leaf.path != path and leaf.parameter.role is Role.MONEY and leaf.path in filling.values
        )
        whole = next(sums, None)
        for leaf in filling.leaves:
            if leaf.path == path and isinstance(whole, int | float):
                filling.put(leaf, plain_number(round(whole * percent / 100, 2)))


def _span(clause: Clause, part: str) -> tuple[int, int]:
    start = clause.start + max(0, clause.text.find(part))
    return start, start + len(part)
