"""The state of filling one set of parameters: what has a value, and which parts of the text are used up.

This module must not decide which value goes where.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from trunkline.offline_model.clauses import Clause
from trunkline.offline_model.json_values import Json
from trunkline.offline_model.mention import Mention
from trunkline.offline_model.offered import OfferedTool, Parameter
from trunkline.offline_model.roles import WORDED, Role
from trunkline.offline_model.schema_check import conforms

Path = tuple[str, ...]


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

    @property
    def all(self) -> tuple[Clause, ...]:
        """Every clause of the request, the tool's own first."""
        return (*self.own, *self.elsewhere)


@dataclass(frozen=True, slots=True)
class Filled:
    """Arguments as far as the text gives them."""

    arguments: dict[str, Json]
    missing: tuple[Path, ...] = ()
    """Required parameters without a value."""
    references: frozenset[Path] = frozenset()
    """Of the missing ones, those for which the text points at a result ("multiply it by 4")."""
    shares: tuple[tuple[Path, float], ...] = ()
    """Parameters that are a percentage of a sum the text does not give ("20% down" on "the cheapest one")."""
    variants: tuple[dict[str, Json], ...] = ()
    """All argument sets, where the text names several values for one parameter ("Paris and London"); else empty."""
    texts: tuple[tuple[int, int], ...] = ()
    """The parts of the request that became running text."""

    @property
    def complete(self) -> bool:
        """Whether every required parameter has a value or will have one."""
        return set(self.missing) <= self.references


@dataclass
class Filling:
    """Values found so far; `values` and `spans` grow while parameters are filled."""

    tool: OfferedTool
    parameters: Sequence[Parameter]
    scope: Scope
    values: dict[Path, Json] = field(default_factory=dict)
    sources: dict[Path, Mention] = field(default_factory=dict)
    """The mentions that gave the values, where one did."""
    spans: list[tuple[int, int, str]] = field(default_factory=list)
    """What of the text is used up: start, end and facet."""
    shares: dict[Path, float] = field(default_factory=dict)
    """Percentages of a sum that another parameter holds."""
    references: set[Path] = field(default_factory=set)
    texts: list[tuple[int, int]] = field(default_factory=list)
    """What of the text became running text."""

    def __post_init__(self) -> None:
        self.leaves = tuple(_leaves(self.parameters, (), required=True))

    def open_leaves(self, *roles: Role) -> Iterator[Leaf]:
        """The leaves without a value, of the given roles or of any."""
        for leaf in self.leaves:
            if leaf.path not in self.values and (not roles or leaf.parameter.role in roles):
                yield leaf

    def put(self, leaf: Leaf, value: Json, *spans: tuple[int, int], facet: str = "whole") -> bool:
        """Records a value if there is none and the schema allows this one."""
        if leaf.path in self.values or not conforms(value, leaf.parameter.schema):
            return False
        self.values[leaf.path] = value
        self.use(*spans, facet=facet)
        if leaf.parameter.role in WORDED:
            self.texts.extend(spans)
        return True

    def use(self, *spans: tuple[int, int], facet: str = "whole") -> None:
        """Marks parts of the text as used up."""
        self.spans.extend((start, end, facet) for start, end in spans)

    def is_used(self, start: int, end: int, facet: str = "whole") -> bool:
        """Whether (this facet of) a part of the text is used up."""
        return any(
            low < end and start < high and (facet == "whole" or used in ("whole", facet))
            for low, high, used in self.spans
        )

    def used_spans(self) -> list[tuple[int, int]]:
        """The parts of the text that are used up."""
        return [(start, end) for start, end, _ in self.spans]

    def mentions(self) -> Iterator[Mention]:
        """What the tool's own clauses mention."""
        for clause in self.scope.own:
            yield from clause.mentions

    def filled(self) -> Filled:
        """What has been found, put together."""
        missing = tuple(leaf.path for leaf in self.leaves if leaf.required and leaf.path not in self.values)
        shares = tuple((path, share) for path, share in self.shares.items() if path not in self.values)
        return Filled(
            _assembled(self.values, self.parameters),
            missing,
            frozenset(self.references) & set(missing),
            shares,
            texts=tuple(self.texts),
        )


def _leaves(parameters: Sequence[Parameter], path: Path, *, required: bool) -> Iterator[Leaf]:
    for parameter in parameters:
        needed = required and parameter.required
        if parameter.type == "object" and parameter.properties:
            yield from _leaves(parameter.properties, (*path, parameter.name), required=needed)
        else:
            yield Leaf((*path, parameter.name), parameter, needed)


def _assembled(values: dict[Path, Json], parameters: Sequence[Parameter]) -> dict[str, Json]:
    """The nested arguments; an optional object that lacks a property it requires is left out."""
    arguments: dict[str, Json] = {}
    for parameter in parameters:
        path = (parameter.name,)
        if path in values:
            arguments[parameter.name] = values[path]
        elif parameter.type == "object" and parameter.properties:
            inner = {key[1:]: value for key, value in values.items() if key[:1] == path}
            nested = _assembled(inner, parameter.properties)
            complete = all(p.name in nested for p in parameter.properties if p.required)
            if nested and (parameter.required or complete):
                arguments[parameter.name] = nested
    return arguments
