"""Fills array parameters, and finds where the text names several values for a parameter that takes one.

"The average of 3, 5 and 9" is one call with a list; "the weather in Paris and London" is two calls. This module must
not know where a tool came from.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from trunkline.offline_model.choices import chosen_values
from trunkline.offline_model.clauses import Clause
from trunkline.offline_model.filling import Filled, Filling, Leaf, Scope
from trunkline.offline_model.fits import fit_mention
from trunkline.offline_model.free_text import lower_case_places, object_of
from trunkline.offline_model.json_values import Json
from trunkline.offline_model.mention import NUMERIC, Kind, Mention
from trunkline.offline_model.number_fits import fit_number
from trunkline.offline_model.offered import Parameter
from trunkline.offline_model.roles import WORDED, Role
from trunkline.offline_model.schema_check import conforms

#: Fills one object of an array from a part of the clause.
FillItem = Callable[[Filling, Sequence[Parameter], Scope], Filled]

_COORDINATED = re.compile(
    r"\s*(?:,\s*and|,\s*or|,|and|or|&|vs\.?|versus|/|,\s*&)\s*(?:(?:also|the|in|for|at|of|on)\s+)*", re.IGNORECASE
)
_SEGMENT = re.compile(r"\s*(?:,\s*and|,|;|\band\b|\bor\b|\bplus\b|\n)\s*", re.IGNORECASE)
_SINGLE: Final = frozenset(
    {Kind.PLACE, Kind.PROPER, Kind.URL, Kind.EMAIL, Kind.IDENTIFIER, Kind.LANGUAGE, Kind.CURRENCY, Kind.QUOTED,
     Kind.PATH, Kind.MOMENT, *NUMERIC}
)  # fmt: skip
#: No more calls than these come out of one list in the text.
MOST_VARIANTS: Final = 8


def fill_lists(filling: Filling, fill_item: FillItem) -> None:
    """Fills the array leaves that are still open."""
    for leaf in filling.open_leaves(Role.ARRAY):
        items = leaf.parameter.items
        if items is None:
            continue
        values = _items(filling, leaf, items, fill_item)
        if values:
            filling.put(leaf, values)


def _items(filling: Filling, leaf: Leaf, items: Parameter, fill_item: FillItem) -> list[Json]:
    if items.enum:
        choices = (c for clause in filling.scope.own for c in chosen_values(items, clause.words, clause.mentions))
        return list(dict.fromkeys(str(choice.value) for choice in choices))
    if items.properties:
        return _objects(filling, items, fill_item) if leaf.required else []
    fitting = [
        (mention, value) for mention in filling.mentions() if (value := _item(filling, items, mention)) is not None
    ]
    fitting = [(mention, value) for mention, value in fitting if not filling.is_used(mention.start, mention.end)]
    if not fitting and items.role in WORDED and items.type in ("string", "any") and leaf.required:
        return _worded_items(filling, items)
    if not leaf.required and items.numeric and len(fitting) < 2:
        return []
    filling.use(*((mention.start, mention.end) for mention, _ in fitting))
    return [value for _, value in fitting]


def _item(filling: Filling, items: Parameter, mention: Mention) -> Json:
    if mention.kind in NUMERIC and items.numeric:
        fit = fit_number(replace(items, role=Role.NUMBER), mention, tool=filling.tool, text=filling.scope.text)
        return fit.value if fit else None
    if items.type not in ("string", "any") or mention.kind in NUMERIC:
        return None
    other = fit_mention(items, mention, tool=filling.tool, now=filling.scope.now)
    return other.value if other is not None and conforms(other.value, items.schema) else None


def _worded_items(filling: Filling, items: Parameter) -> list[Json]:
    """ "buy milk, eggs and bread": the object of the clause, taken apart."""
    text = object_of(filling.scope.clause, items, used=filling.used_spans(), names=filling.scope.names)
    return [part for part in _SEGMENT.split(text) if part] if text else []


def _objects(filling: Filling, items: Parameter, fill_item: FillItem) -> list[Json]:
    """ "2 apples and 3 bananas": one object for each part of the clause that fills it."""
    found: list[Json] = []
    for segment in _segments(filling.scope.clause):
        scope = replace(filling.scope, clause=segment, nearby=(), elsewhere=())
        filled = fill_item(filling, items.properties, scope)
        if filled.arguments and not filled.missing:
            found.append(filled.arguments)
    return found


def _segments(clause: Clause) -> Iterator[Clause]:
    start = 0
    for match in [*_SEGMENT.finditer(clause.text), None]:
        end = match.start() if match else len(clause.text)
        low, high = clause.start + start, clause.start + end
        yield replace(
            clause,
            text=clause.text[start:end],
            start=low,
            end=high,
            words=tuple(word for word in clause.words if low <= word.start < high),
            mentions=tuple(mention for mention in clause.mentions if low <= mention.start < high),
        )
        start = match.end() if match else end


def variants(filling: Filling, arguments: dict[str, Json]) -> tuple[dict[str, Json], ...]:
    """The argument sets for the first parameter for which the text coordinates several values; empty if none."""
    for leaf in filling.leaves:
        if len(leaf.path) != 1 or leaf.path not in filling.values:
            continue
        values = _distinct(_coordinated_values(filling, leaf))
        if len(values) > 1 and filling.values[leaf.path] in values:
            return tuple({**arguments, leaf.path[0]: value} for value in values[:MOST_VARIANTS])
    return ()


def _distinct(values: list[Json]) -> list[Json]:
    return [value for index, value in enumerate(values) if value not in values[:index]]


def _coordinated_values(filling: Filling, leaf: Leaf) -> list[Json]:
    if leaf.parameter.role is Role.ENUM:
        return _coordinated_choices(filling, leaf)
    source = filling.sources.get(leaf.path)
    if source is None:
        return _coordinated_places(filling, leaf)
    if source.kind not in _SINGLE or source.bound:
        return []
    if source.kind in NUMERIC and sum(other.parameter.numeric for other in filling.leaves) != 1:
        return []
    row = _row(filling, source)
    fitted = (_value(filling, leaf, mention) for mention in row)
    return [value for value in fitted if value is not None and conforms(value, leaf.parameter.schema)]


def _row(filling: Filling, source: Mention) -> list[Mention]:
    """The mentions of one kind that stand in a row with `source`: "Paris, London and Rome"."""
    clause = next((c for c in filling.scope.own if source in c.mentions), filling.scope.clause)
    alike = {Kind.PLACE, Kind.PROPER} if source.kind in (Kind.PLACE, Kind.PROPER) else {source.kind}
    row: list[Mention] = []
    for mention in clause.mentions:
        if mention.kind not in alike or (mention != source and filling.is_used(mention.start, mention.end)):
            continue
        gap = clause.text[row[-1].end - clause.start : mention.start - clause.start] if row else ""
        if row and not _COORDINATED.fullmatch(gap):
            if source in row:
                break
            row = []
        row.append(mention)
    return row


def _value(filling: Filling, leaf: Leaf, mention: Mention) -> Json:
    if mention.kind in NUMERIC and leaf.parameter.numeric:
        fit = fit_number(leaf.parameter, replace(mention, bound=None), tool=filling.tool, text=filling.scope.text)
        return fit.value if fit else None
    other = fit_mention(leaf.parameter, mention, tool=filling.tool, now=filling.scope.now)
    return other.value if other else None


def _coordinated_choices(filling: Filling, leaf: Leaf) -> list[Json]:
    for clause in filling.scope.own:
        choices = chosen_values(leaf.parameter, clause.words, clause.mentions)
        if len(choices) > 1 and leaf.parameter.direction is None:
            gaps = (
                clause.text[one.end - clause.start : other.start - clause.start] for one, other in pairwise(choices)
            )
            if all(_COORDINATED.fullmatch(gap) for gap in gaps):
                return [choice.value for choice in choices]
    return []


def _coordinated_places(filling: Filling, leaf: Leaf) -> list[Json]:
    if leaf.parameter.role is not Role.PLACE:
        return []
    places = lower_case_places(filling.scope.clause, [])
    names: list[Json] = [name for name, _, _ in places]
    return names if filling.values[leaf.path] in names else []
