"""How well a number fits a numeric parameter: by name, unit, kind and bound; and what value it gives.

This module must not choose among numbers; it judges one pair at a time.
"""

import re
from dataclasses import dataclass
from typing import Final

from trunkline.offline_model.fits import REQUIRED_BONUS
from trunkline.offline_model.json_values import Json, plain_number
from trunkline.offline_model.mention import Kind, Mention
from trunkline.offline_model.offered import OfferedTool, Parameter
from trunkline.offline_model.roles import TIME_UNITS, Role
from trunkline.offline_model.vocabulary import WEAK_NOUNS, alike
from trunkline.offline_model.words import stem, stem_set, stems

_BOUND_STEMS: Final = stem_set(
    "min minimum max maximum lower upper least most low high lowest highest floor ceiling cap"
)
_PASSED_OVER: Final = stem_set("of is = the a an be to at are equals equal : about only")
_ENDS_NAME: Final = stem_set("with and for in over on by or from between + * / plus minus times under below above")
_FRACTION = re.compile(r"\bfraction\b|\bdecimal\b|\b0\.\d+|between 0 and 1|\b0 to 1\b", re.IGNORECASE)
_LIMITERS: Final = frozenset({"top", "first", "last", "only", "best", "most"})


@dataclass(frozen=True, slots=True)
class NumberFit:
    """A value a number gives to a parameter."""

    score: float
    value: Json
    share: bool = False
    """Whether the value is a percentage of a sum that another parameter holds."""


def fit_number(parameter: Parameter, mention: Mention, *, tool: OfferedTool, text: str) -> NumberFit | None:
    """How well the number `mention` of `text` fills the numeric `parameter` of `tool`; None if it cannot."""
    labelled = 3.0 if _labelled(parameter, mention, text) else 0.0
    named = max(_named(parameter, mention), labelled)
    unit = _unit(parameter, mention)
    if unit is None and not named:
        return None
    if mention.kind is Kind.PERCENT and parameter.role is Role.MONEY:
        linked = max(named, unit or 0.0)
        return NumberFit(linked, mention.number, share=True) if linked >= 1.0 else None
    kind = _kind(parameter, mention, tool, bool(named or (unit or 0.0) >= 1.0))
    if kind is None:
        return None
    bound = _bound(parameter, mention, tool, named, max(unit or 0.0, kind))
    value = _value(parameter, mention)
    if bound is None or value is None:
        return None
    if not parameter.required and not (named or unit or bound > 0.0) and not _sole_of_its_role(parameter, tool):
        return None
    base = REQUIRED_BONUS if parameter.required else 0.0
    return NumberFit(base + named + (unit or 0.0) + kind + bound - _claimed(parameter, mention, tool), value)


def _sole_of_its_role(parameter: Parameter, tool: OfferedTool) -> bool:
    """Whether what sort of number it is tells the parameter from all others."""
    return not any(other.role is parameter.role for other in tool.parameters if other is not parameter)


def _labelled(parameter: Parameter, mention: Mention, text: str) -> bool:
    """`price=5`, `price: 5`."""
    if not text[: mention.start].rstrip().endswith(("=", ":")):
        return False
    name = r"[\s_-]?".join(re.escape(part) for part in parameter.parts)
    return re.search(rf"(?<!\w){name}\s*[=:]\s*$", text[: mention.start], re.IGNORECASE) is not None


def _named(parameter: Parameter, mention: Mention) -> float:
    """ "interest rate of 6.5": how much of the parameter's name stands before the number."""
    near: list[str] = []
    for word in reversed(mention.before):
        if word in _PASSED_OVER and not near:
            continue
        if word in _ENDS_NAME or word.isdigit():
            break
        near.append(word)
    wanted = parameter.stems - _BOUND_STEMS - (WEAK_NOUNS if len(parameter.stems) > 1 else frozenset())
    if not wanted or not near:
        return 0.0
    found = sum(max(alike(word, name) for word in near[:3]) for name in wanted)
    return 2.0 * found / len(wanted) if found >= 0.8 else 0.0


def _unit(parameter: Parameter, mention: Mention) -> float | None:
    """ "3 bedrooms": whether the words after the number are the parameter's; None if they speak against it."""
    for index, word in enumerate(mention.unit):
        best = max((alike(word, name) for name in parameter.stems - _BOUND_STEMS), default=0.0)
        if best:
            return (2.0 - 0.4 * index) * best
    if mention.unit and mention.unit[0] in TIME_UNITS and len(mention.unit[0]) > 1:
        if _time_unit(parameter):
            return 1.5
        return 1.2 if parameter.role is Role.DURATION else None
    described = parameter.described - WEAK_NOUNS
    for index, word in enumerate(mention.unit):
        if word in described:
            return 0.9 - 0.2 * index
    return 0.0


def _time_unit(parameter: Parameter) -> str | None:
    """The unit of time a parameter is measured in, by its name or else its description."""
    words: list[str] = [stem(part) for part in parameter.parts]
    if parameter.role is Role.DURATION:
        words += sorted(parameter.described)
    for word in words:
        if word in TIME_UNITS and (len(word) > 1):
            return word
    return None


def _kind(parameter: Parameter, mention: Mention, tool: OfferedTool, linked: bool) -> float | None:
    """What the sort of number says; None if it cannot be this parameter's."""
    plain = mention.kind is Kind.NUMBER
    match parameter.role:
        case Role.MONEY:
            return 1.0 if mention.kind is Kind.MONEY else 0.5 if plain and mention.number >= 1000 else 0.0
        case Role.PERCENT:
            return 1.0 if mention.kind is Kind.PERCENT else 0.0 if plain else None
        case Role.YEAR:
            whole = plain and mention.number == int(mention.number) and "," not in mention.text
            return 1.0 if whole and 1500 <= mention.number <= 2500 and (linked or not mention.unit) else None
        case Role.DURATION:
            return 0.0 if plain else None
        case Role.COUNT:
            return _count(mention, tool) if plain else None
        case Role.IDENTIFIER:
            entity = (parameter.stems | {"id", "number"}) & set(mention.before[-2:])
            return (1.5 if entity else 0.0) if plain else None
        case _:
            return 0.0


def _count(mention: Mention, tool: OfferedTool) -> float:
    """ "two dice" for a tool that rolls dice; "top 5"."""
    if mention.before and mention.before[-1] in _LIMITERS:
        return 1.0
    nouns = [stem(part) for part in tool.parts]
    if any(alike(word, noun) for word in mention.unit[:2] for noun in nouns):
        return 1.0
    return 0.9 if mention.unit and mention.unit[0] in frozenset(stems(tool.description)) - WEAK_NOUNS else 0.0


def _bound(parameter: Parameter, mention: Mention, tool: OfferedTool, named: float, linked: float) -> float | None:
    """Whether minimum and maximum agree; None if they contradict each other."""
    if parameter.bound is None:
        if mention.bound is None:
            return 0.0
        rival = any(other.bound == mention.bound and _same_base(other, parameter, mention) for other in tool.parameters)
        return None if rival else -0.2
    if mention.bound is None:
        return 0.0 if named >= 1.6 else None
    if mention.bound != parameter.bound:
        return None
    based = bool(parameter.stems - _BOUND_STEMS)
    return 0.6 if linked > 0.0 or named or not based else None


def _same_base(bounded: Parameter, parameter: Parameter, mention: Mention) -> bool:
    """Whether a bounded parameter is the better home for a bounded number."""
    if bounded.role is parameter.role:
        return True
    return bounded.role is Role.MONEY and mention.kind is Kind.MONEY


def _claimed(parameter: Parameter, mention: Mention, tool: OfferedTool) -> float:
    """A malus if the number's unit is the name of another parameter."""
    if not mention.unit or any(alike(mention.unit[0], name) for name in parameter.stems):
        return 0.0
    others = (other for other in tool.parameters if other is not parameter and other.numeric)
    return 0.25 if any(mention.unit[0] in other.stems for other in others) else 0.0


def _value(parameter: Parameter, mention: Mention) -> Json:
    """The number in the parameter's measure, or None if the schema does not allow it."""
    number = mention.number
    if mention.unit and mention.unit[0] in TIME_UNITS and (unit := _time_unit(parameter)):
        number = number * TIME_UNITS[mention.unit[0]] / TIME_UNITS[unit] if unit != mention.unit[0] else number
        number = round(number, 6)
    if mention.kind is Kind.PERCENT and _is_fraction(parameter):
        number = round(number / 100, 8)
    if parameter.type == "integer" and number != int(number):
        return None
    return plain_number(number)


def _is_fraction(parameter: Parameter) -> bool:
    maximum, default = parameter.schema.get("maximum"), parameter.schema.get("default")
    if isinstance(maximum, int | float) and maximum <= 1:
        return True
    if isinstance(default, float) and 0 < default < 1:
        return True
    if {"percent", "percentage", "pct"} & set(parameter.parts):
        return False
    return bool({"fraction", "share", "ratio"} & set(parameter.parts) or _FRACTION.search(parameter.description))
