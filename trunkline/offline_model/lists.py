"""Fills array parameters, and finds where the text names several values for a parameter that takes one.

"The average of 3, 5 and 9" is one call with a list; "the weather in Paris and London" is two calls. This module must
not know where a tool came from.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from trunkline.offline_model.choices import chosen_values
from trunkline.offline_model.clauses import Clause
from trunkline.offline_model.fits import WORDED, fit_mention
from trunkline.offline_model.free_text import lower_case_place, object_of
from trunkline.offline_model.json_values import Json
from trunkline.offline_model.mention import NUMERIC, Kind, Mention
from trunkline.offline_model.number_fits import fit_number
from trunkline.offline_model.offered import Parameter
from trunkline.offline_model.roles import Role
from trunkline.offline_model.schema_check import conforms

if TYPE_CHECKING:  # the two modules fill each other's parameters
    from trunkline.offline_model.arguments import Filled, Filler, Leaf

_COORDINATED = re.compile(
    r"\s*(?:,\s*and|,\s*or|,|and|or|&|vs\.?|versus|/|,\s*&)\s*(?:(?:also|the|in|for|at|of|on)\s+)*", re.IGNORECASE
)
_SEGMENT = re.compile(r"\s*(?:,\s*and|,|;|\band\b|\bplus\b|\n)\s*", re.IGNORECASE)
_SINGLE: Final = frozenset(
    {Kind.PLACE, Kind.PROPER, Kind.URL, Kind.EMAIL, Kind.IDENTIFIER, Kind.LANGUAGE, Kind.CURRENCY, Kind.QUOTED,
     Kind.PATH, Kind.MOMENT, *NUMERIC}
)  # fmt: skip
#: No more calls than these come out of one list in the text.
MOST_VARIANTS: Final = 8


def fill_lists(filler: "Filler") -> None:
    """Fills the array leaves that are still open."""
    for leaf in filler.open_leaves(Role.ARRAY):
        items = leaf.parameter.items
        if items is None:
            continue
        values = _items(filler, leaf, items)
        if values:
            filler.put(leaf, values)


def _items(filler: "Filler", leaf: "Leaf", items: Parameter) -> list[Json]:
    if items.enum:
        choices = (c for clause in filler.scope.own for c in chosen_values(items, clause.words, clause.mentions))
        return list(dict.fromkeys(str(choice.value) for choice in choices))
    if items.properties:
        return _objects(filler, items) if leaf.required else []
    fitting = [
        (mention, value) for mention in filler.mentions() if (value := _item(filler, items, mention)) is not None
    ]
    fitting = [(mention, value) for mention, value in fitting if not filler.is_used(mention)]
    if not fitting and items.role in WORDED and items.type in ("string", "any") and leaf.required:
        return _worded_items(filler, items)
    if not leaf.required and items.numeric and len(fitting) < 2:
        return []
    filler.spans.extend((mention.start, mention.end, "whole") for mention, _ in fitting)
    return [value for _, value in fitting]


def _item(filler: "Filler", items: Parameter, mention: Mention) -> Json | None:
    if mention.kind in NUMERIC and items.numeric:
        fit = fit_number(replace(items, role=Role.NUMBER), mention, tool=filler.tool, text=filler.scope.text)
        return fit.value if fit else None
    if items.type not in ("string", "any") or mention.kind in NUMERIC:
        return None
    other = fit_mention(items, mention, tool=filler.tool, now=filler.scope.now)
    return other.value if other is not None and conforms(other.value, items.schema) else None


def _worded_items(filler: "Filler", items: Parameter) -> list[Json]:
    """ "buy milk, eggs and bread": the object of the clause, taken apart."""
    text = object_of(filler.scope.clause, items, used=filler.used_spans(), names=filler.scope.names)
    return [part for part in _SEGMENT.split(text) if part] if text else []


def _objects(filler: "Filler", items: Parameter) -> list[Json]:
    """ "2 apples and 3 bananas": one object for each part of the clause that fills it."""
    from trunkline.offline_model.arguments import Filler as ItemFiller  # noqa: PLC0415 -- see the top

    found: list[Json] = []
    for segment in _segments(filler.scope.clause):
        scope = replace(filler.scope, clause=segment, nearby=(), elsewhere=())
        filled = ItemFiller(filler.tool, items.properties, scope, spans=list(filler.spans)).fill({})
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


def variants(filler: "Filler", filled: "Filled") -> tuple[dict[str, Json], ...]:
    """Further argument sets for the first parameter for which the text coordinates several values."""
    for leaf in filler.leaves:
        if len(leaf.path) != 1 or leaf.path not in filler.values:
            continue
        values = _coordinated_values(filler, leaf)
        name, first = leaf.path[0], filler.values[leaf.path]
        others = [value for value in values if value != first][: MOST_VARIANTS - 1]
        if others:
            return tuple({**filled.arguments, name: value} for value in others)
    return ()


def _coordinated_values(filler: "Filler", leaf: "Leaf") -> list[Json]:
    if leaf.parameter.role is Role.ENUM:
        return _coordinated_choices(filler, leaf)
    source = filler.sources.get(leaf.path)
    if source is None:
        return _coordinated_places(filler, leaf)
    if source.kind not in _SINGLE or source.bound:
        return []
    if source.kind in NUMERIC and sum(other.parameter.numeric for other in filler.leaves) != 1:
        return []
    row = _row(filler, source)
    fitted = (_value(filler, leaf, mention) for mention in row)
    return [value for value in fitted if value is not None and conforms(value, leaf.parameter.schema)]


def _row(filler: "Filler", source: Mention) -> list[Mention]:
    """The mentions of one kind that stand in a row with `source`: "Paris, London and Rome"."""
    clause = next((c for c in filler.scope.own if source in c.mentions), filler.scope.clause)
    alike = {Kind.PLACE, Kind.PROPER} if source.kind in (Kind.PLACE, Kind.PROPER) else {source.kind}
    row = [source]
    for mention in clause.mentions:
        gap = clause.text[row[-1].end - clause.start : mention.start - clause.start]
        free = mention.kind in alike and mention.start >= row[-1].end and not filler.is_used(mention)
        if free and _COORDINATED.fullmatch(gap):
            row.append(mention)
    return row


def _value(filler: "Filler", leaf: "Leaf", mention: Mention) -> Json | None:
    if mention.kind in NUMERIC and leaf.parameter.numeric:
        fit = fit_number(leaf.parameter, replace(mention, bound=None), tool=filler.tool, text=filler.scope.text)
        return fit.value if fit else None
    other = fit_mention(leaf.parameter, mention, tool=filler.tool, now=filler.scope.now)
    return other.value if other else None


def _coordinated_choices(filler: "Filler", leaf: "Leaf") -> list[Json]:
    for clause in filler.scope.own:
        choices = chosen_values(leaf.parameter, clause.words, clause.mentions)
        if len(choices) > 1 and leaf.parameter.direction is None:
            gaps = (
                clause.text[one.end - clause.start : other.start - clause.start]
                for one, other in zip(choices, choices[1:], strict=False)
            )
            if all(_COORDINATED.fullmatch(gap) for gap in gaps):
                return [choice.value for choice in choices]
    return []


def _coordinated_places(filler: "Filler", leaf: "Leaf") -> list[Json]:
    if leaf.parameter.role is not Role.PLACE:
        return []
    places = lower_case_place(filler.scope.clause, [])
    names: list[Json] = [name for name, _, _ in places]
    return names if filler.values[leaf.path] in names else []
