"""Fills the parameters of a chosen tool from what the request says.

First what is given letter by letter (JSON, `name=value`), then closed sets, then all pairs of a mention and a
parameter, the best first, then lists and objects, and last running text. A value that is not in the text is not made
up: the parameter is reported as missing. This module must not look at results of earlier calls.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from trunkline.offline_model import lists
from trunkline.offline_model.choices import chosen_values, preferred, yes_or_no
from trunkline.offline_model.clauses import Clause
from trunkline.offline_model.fits import OPTIONAL_THRESHOLD, REQUIRED_BONUS, WORDED, fit_mention
from trunkline.offline_model.free_text import (
    expression_in,
    labelled_text,
    lower_case_place,
    marked_text,
    object_of,
    units_in,
)
from trunkline.offline_model.json_values import Json, plain_number
from trunkline.offline_model.mention import NUMERIC, Kind, Mention
from trunkline.offline_model.number_fits import fit_number
from trunkline.offline_model.offered import OfferedTool, Parameter
from trunkline.offline_model.roles import Role
from trunkline.offline_model.schema_check import conforms

Path = tuple[str, ...]

#: What other clauses may lend to a tool: things one speaks of once.
_SHARED: Final = frozenset(
    {Kind.PLACE, Kind.PROPER, Kind.URL, Kind.EMAIL, Kind.IDENTIFIER, Kind.PHONE, Kind.PATH, Kind.MOMENT, *NUMERIC}
)
#: Roles whose value may be given without any mark, as the rest of the clause.
_OBJECTS: Final = WORDED | {Role.PERSON, Role.SYMBOL}


@dataclass(frozen=True, eq=False, slots=True)
class Leaf:
    """A parameter that takes a value of its own: properties of objects are leaves with a longer path."""

    path: Path
    parameter: Parameter
    required: bool


@dataclass(frozen=True, slots=True)
class Scope:
    """Where the values for one tool may come from."""

    clause: Clause
    nearby: tuple[Clause, ...]
    """Clauses that ask for nothing themselves: what they say counts as if said here."""
    elsewhere: tuple[Clause, ...]
    """Clauses about other tools."""
    names: frozenset[int]
    """Starts of the words that name the tool."""
    text: str
    now: datetime

    @property
    def own(self) -> tuple[Clause, ...]:
        """The clauses whose every word counts."""
        return (self.clause, *self.nearby)


@dataclass(frozen=True, slots=True)
class Filled:
    """Arguments as far as the text gives them."""

    arguments: dict[str, Json]
    missing: tuple[Path, ...] = ()
    """Required parameters without a value."""
    references: dict[Path, Mention] = field(default_factory=dict)
    """Of the missing ones, those for which the text points at a result ("multiply it by 4")."""
    variants: tuple[dict[str, Json], ...] = ()
    """Further argument sets, where the text names several values for one parameter ("Paris and London")."""
    sources: dict[Path, Mention] = field(default_factory=dict)


def fill_arguments(tool: OfferedTool, scope: Scope) -> Filled:
    """Fills `tool` from `scope`."""
    literal = _literal_arguments(tool, scope)
    filler = Filler(tool, tool.parameters, scope)
    filled = filler.fill(literal or {})
    if filled.missing or not filled.arguments:
        return filled
    return replace(filled, variants=lists.variants(filler, filled))


def _literal_arguments(tool: OfferedTool, scope: Scope) -> dict[str, Json] | None:
    """A JSON object in the text that is the arguments."""
    names = {parameter.name for parameter in tool.parameters}
    for mention in (m for clause in scope.own for m in clause.mentions if m.kind is Kind.JSON):
        value = json.loads(mention.text)
        if isinstance(value, dict) and value and set(value) <= names:
            return value
    return None


@dataclass
class Filler:
    """Fills one set of parameters; `values` and `spans` grow while it works."""

    tool: OfferedTool
    parameters: Sequence[Parameter]
    scope: Scope
    values: dict[Path, Json] = field(default_factory=dict)
    sources: dict[Path, Mention] = field(default_factory=dict)
    spans: list[tuple[int, int, str]] = field(default_factory=list)
    shares: dict[Path, float] = field(default_factory=dict)
    references: dict[Path, Mention] = field(default_factory=dict)

    def fill(self, given: dict[str, Json]) -> Filled:
        """The filled arguments; `given` ones are kept as they are."""
        self.values.update({(name,): value for name, value in given.items()})
        self.leaves = [leaf for leaf in _leaves(self.parameters, (), required=True) if leaf.path[0] not in given]
        self._fill_labelled()
        self._fill_choices()
        self._fill_from_mentions()
        lists.fill_lists(self)
        self._fill_special()
        self._fill_from_objects()
        self._fill_shares()
        missing = tuple(leaf.path for leaf in self.leaves if leaf.required and leaf.path not in self.values)
        arguments, missing = _assembled(self.values, self.parameters, missing)
        references = {path: mention for path, mention in self.references.items() if path in missing}
        return Filled(arguments, missing, references, sources=self.sources)

    def open_leaves(self, *roles: Role) -> Iterator[Leaf]:
        """The leaves without a value, of the given roles or of any."""
        for leaf in self.leaves:
            if leaf.path not in self.values and (not roles or leaf.parameter.role in roles):
                yield leaf

    def put(self, leaf: Leaf, value: Json, *spans: tuple[int, int], facet: str = "whole") -> bool:
        """Records a value if the schema allows it."""
        if leaf.path in self.values or not conforms(value, leaf.parameter.schema):
            return False
        self.values[leaf.path] = value
        self.spans.extend((start, end, facet) for start, end in spans)
        return True

    def is_used(self, mention: Mention, facet: str = "whole") -> bool:
        """Whether (this facet of) the mention fills something already."""
        return any(
            start < mention.end and mention.start < end and (facet == "whole" or kind in ("whole", facet))
            for start, end, kind in self.spans
        )

    def used_spans(self) -> list[tuple[int, int]]:
        """What fills something already."""
        return [(start, end) for start, end, _ in self.spans]

    def mentions(self) -> Iterator[Mention]:
        """What the tool's own clauses mention."""
        for clause in self.scope.own:
            yield from clause.mentions

    def _fill_labelled(self) -> None:
        strings = [leaf.parameter for leaf in self.leaves if leaf.parameter.type in ("string", "any")]
        for leaf in self.open_leaves():
            if leaf.parameter.type not in ("string", "any") or leaf.parameter.enum:
                continue
            for clause in self.scope.own:
                value = labelled_text(leaf.parameter, clause.text, strings)
                if value and leaf.parameter.role in _OBJECTS | {Role.PLACE, Role.UNIT, Role.IDENTIFIER}:
                    start = clause.start + clause.text.find(value)
                    self.put(leaf, value, (start, start + len(value)))

    def _fill_choices(self) -> None:
        for leaf in self.open_leaves(Role.ENUM, Role.BOOLEAN):
            clauses = self.scope.own if leaf.parameter.role is Role.BOOLEAN or not leaf.required else self._all()
            for clause in clauses:
                if leaf.parameter.role is Role.BOOLEAN:
                    flag = yes_or_no(leaf.parameter, clause.text, clause.words)
                    if flag is not None and self.put(leaf, flag):
                        break
                    continue
                choices = [
                    choice
                    for choice in chosen_values(leaf.parameter, clause.words, clause.mentions)
                    if not any(start < choice.end and choice.start < end for start, end in self.used_spans())
                ]
                choice = preferred(leaf.parameter, choices, clause.words)
                if choice is not None and self.put(leaf, choice.value, (choice.start, choice.end)):
                    break
            if len(leaf.parameter.enum) == 1 and leaf.required:
                self.put(leaf, leaf.parameter.enum[0])

    def _fill_from_mentions(self) -> None:
        pairs = sorted(self._pairs(), key=lambda pair: (-pair[0], pair[1].start, pair[2]))
        for _, mention, index, value, facet in pairs:
            leaf = self.leaves[index]
            if leaf.path in self.values or leaf.path in self.shares or leaf.path in self.references:
                continue
            if self.is_used(mention, facet):
                continue
            if mention.kind is Kind.RESULT:
                self.references[leaf.path] = mention
                self.spans.append((mention.start, mention.end, "whole"))
            elif facet == "share" and isinstance(value, int | float):
                self.shares[leaf.path] = value
                self.spans.append((mention.start, mention.end, "whole"))
            elif self.put(leaf, value, (mention.start, mention.end), facet=facet):
                self.sources[leaf.path] = mention

    def _pairs(self) -> Iterator[tuple[float, Mention, int, Json, str]]:
        for index, leaf in enumerate(self.leaves):
            if leaf.path in self.values:
                continue
            threshold = 0.0 if leaf.required else OPTIONAL_THRESHOLD
            for clause in self._all():
                shared = clause not in self.scope.own
                for mention in clause.mentions:
                    if shared and not (mention.kind in _SHARED and (leaf.required or mention.kind is Kind.PLACE)):
                        continue
                    fit = self._fit(leaf, mention, shared=shared)
                    if fit is not None and fit[0] > threshold:
                        yield (fit[0], mention, index, fit[1], fit[2])

    def _fit(self, leaf: Leaf, mention: Mention, *, shared: bool) -> tuple[float, Json, str] | None:
        parameter = leaf.parameter
        if mention.kind is Kind.RESULT:
            wanted = leaf.required and not shared and (parameter.numeric or parameter.role in WORDED)
            return (0.3 if parameter.numeric else 0.2, None, "whole") if wanted else None
        if mention.kind in NUMERIC:
            return self._fit_number(leaf, mention, shared=shared)
        if parameter.type not in ("string", "any") or parameter.enum:
            return None
        fit = fit_mention(parameter, mention, tool=self.tool, now=self.scope.now)
        if fit is None:
            return None
        return (fit.score * (0.5 if shared else 1.0), fit.value, fit.facet)

    def _fit_number(self, leaf: Leaf, mention: Mention, *, shared: bool) -> tuple[float, Json, str] | None:
        parameter = leaf.parameter
        if parameter.enum:
            return None
        if parameter.role is Role.IDENTIFIER and parameter.type == "string":
            entity = (parameter.stems | {"id", "number"}) & set(mention.before[-2:])
            return (1.2, mention.text, "whole") if entity and mention.kind is Kind.NUMBER else None
        if not parameter.numeric:
            return None
        fit = fit_number(parameter, mention, tool=self.tool, text=self.scope.text)
        if fit is None or (shared and (mention.bound or fit.score < REQUIRED_BONUS + 1.2)):
            return None
        return (fit.score * (0.5 if shared else 1.0), fit.value, "share" if fit.share else "whole")

    def _fill_special(self) -> None:
        clause = self.scope.clause
        for leaf in self.open_leaves(Role.EXPRESSION):
            expression = next((found for c in self.scope.own if (found := expression_in(c.text))), None)
            if expression:
                self.put(leaf, expression, (clause.start, clause.end))
        units = units_in(clause.text)
        for leaf in self.open_leaves(Role.UNIT, Role.CURRENCY):
            if leaf.parameter.role is Role.UNIT and units and leaf.parameter.direction:
                self.put(leaf, units[0] if leaf.parameter.direction == "from" else units[1])
            elif leaf.parameter.role is Role.CURRENCY and leaf.parameter.direction != "to":
                money = next((m for m in self.mentions() if m.kind is Kind.MONEY and m.currency), None)
                if money is not None and (leaf.required or leaf.parameter.direction == "from"):
                    self.put(leaf, money.currency)
        for leaf in self.open_leaves(Role.PLACE):
            for place in lower_case_place(clause, self.used_spans())[:1]:
                self.put(leaf, place[0], (place[1], place[2]))

    def _fill_from_objects(self) -> None:
        for leaf in self.open_leaves(*_OBJECTS):
            if leaf.parameter.type not in ("string", "any"):
                continue
            for clause in self.scope.own:
                marked = marked_text(leaf.parameter, clause.text)
                if marked:
                    start = clause.start + clause.text.find(marked)
                    self.put(leaf, marked, (start, start + len(marked)))
        wanting = [leaf for leaf in self.open_leaves(*_OBJECTS) if leaf.required and leaf.path not in self.references]
        for leaf in sorted(wanting, key=lambda leaf: leaf.parameter.role is Role.TITLE):
            clause = self.scope.clause
            text = object_of(clause, leaf.parameter, used=self.used_spans(), names=self.scope.names)
            if text and not (leaf.parameter.role is Role.PERSON and len(text.split()) > 3):
                start = clause.start + clause.text.find(text)
                self.put(leaf, text, (start, start + len(text)))

    def _fill_shares(self) -> None:
        """ "20% down": a percentage of the first sum among the other parameters."""
        for path, percent in self.shares.items():
            leaf = next(leaf for leaf in self.leaves if leaf.path == path)
            sums = (
                self.values[other.path]
                for other in self.leaves
                if other is not leaf and other.parameter.role is Role.MONEY and other.path in self.values
            )
            whole = next(sums, None)
            if isinstance(whole, int | float):
                self.put(leaf, plain_number(round(whole * percent / 100, 2)))

    def _all(self) -> tuple[Clause, ...]:
        return (*self.scope.own, *self.scope.elsewhere)


def _leaves(parameters: Sequence[Parameter], path: Path, *, required: bool) -> Iterator[Leaf]:
    for parameter in parameters:
        needed = required and parameter.required
        if parameter.type == "object" and parameter.properties:
            yield from _leaves(parameter.properties, (*path, parameter.name), required=needed)
        else:
            yield Leaf((*path, parameter.name), parameter, needed)


def _assembled(
    values: dict[Path, Json], parameters: Sequence[Parameter], missing: tuple[Path, ...]
) -> tuple[dict[str, Json], tuple[Path, ...]]:
    """The nested arguments; an optional object that lacks a property it requires is left out."""
    arguments: dict[str, Json] = {}
    for parameter in parameters:
        path = (parameter.name,)
        if path in values:
            arguments[parameter.name] = values[path]
        elif parameter.type == "object" and parameter.properties:
            inner = {key[1:]: value for key, value in values.items() if key[:1] == path}
            lacking = tuple((p.name,) for p in parameter.properties if p.required and p.type != "object")
            lacking = tuple(key for key in lacking if key not in inner)
            nested, _ = _assembled(inner, parameter.properties, ())
            if nested and (parameter.required or not lacking):
                arguments[parameter.name] = nested
            elif parameter.required and not parameter.properties:
                arguments[parameter.name] = {}
    return arguments, missing
