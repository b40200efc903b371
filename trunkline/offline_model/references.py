"""Takes values from earlier results: "the first one", "the cheapest", "multiply it by 4", or just a field by its name.

A field is found by its name; a record by the words that point at it. This module must not read the text for values.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from trunkline.offline_model.json_values import Json
from trunkline.offline_model.offered import Parameter
from trunkline.offline_model.results import records, scalar
from trunkline.offline_model.roles import Role
from trunkline.offline_model.schema_check import conforms
from trunkline.offline_model.words import name_parts, stem, stem_set

_ORDINALS: Final = {
    "first": 0, "1st": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3, "4th": 3, "fifth": 4, "5th": 4,
    "sixth": 5, "seventh": 6, "eighth": 7, "ninth": 8, "tenth": 9, "last": -1, "top": 0,
}  # fmt: skip
_ORDINAL = re.compile(rf"\b(?:the|that|number|#|option)\s*(?P<word>{'|'.join(_ORDINALS)})\b", re.IGNORECASE)
_NUMBERED = re.compile(r"\b(?:number|option|result|no\.)\s*#?(?P<number>[1-9]\d?)\b", re.IGNORECASE)
_EVERY = re.compile(r"\b(?:each|every|all|both)\b(?!\s+(?:day|week|month|year|hour))", re.IGNORECASE)

#: Superlatives: which end, of which field.
_SUPERLATIVES: Final = (
    (re.compile(r"\b(?:cheapest|least expensive|lowest[- ]priced?|most affordable)\b"), min, stem_set("price cost")),
    (re.compile(r"\b(?:most expensive|priciest|highest[- ]priced?)\b"), max, stem_set("price cost")),
    (re.compile(r"\b(?:largest|biggest|most spacious)\b"), max, stem_set("sqft size area square_feet feet footage")),
    (re.compile(r"\bsmallest\b"), min, stem_set("sqft size area feet footage")),
    (re.compile(r"\b(?:newest|latest|most recent)\b"), max, stem_set("year built date created")),
    (re.compile(r"\boldest\b"), min, stem_set("year built date created")),
    (re.compile(r"\b(?:best|highest[- ]rated|top[- ]rated)\b"), max, stem_set("rating score stars")),
    (re.compile(r"\b(?:nearest|closest)\b"), min, stem_set("distance")),
)


@dataclass(frozen=True, slots=True)
class Pointed:
    """The records a text points at. With `certain` False nothing pointed, and all that there are are meant."""

    records: tuple[dict[str, Json], ...]
    certain: bool
    every: bool = False


def points_at_record(text: str) -> bool:
    """Whether the words choose one of several records, as "the first one" does."""
    lowered = text.lower()
    return bool(
        _ORDINAL.search(lowered)
        or _NUMBERED.search(lowered)
        or any(pattern.search(lowered) for pattern, _, _ in _SUPERLATIVES)
        or re.search(r"\b(?:each|every|both|all of|all the)\b", lowered)
    )


def names_record(text: str, value: Json) -> bool:
    """Whether `text` has the name, address or id of some, but not all, of the records of a result."""
    found = records(value)
    named = [record for record in found if _is_named(record, text.lower())]
    return bool(named) and (len(named) < len(found) or len(found) == 1)


def pointed_records(text: str, value: Json) -> Pointed:
    """The records of a result that `text` points at."""
    found = records(value)
    lowered = text.lower()
    if len(found) <= 1:
        return Pointed(tuple(found), certain=True)
    if ordinal := _ORDINAL.search(lowered):
        return _at(found, _ORDINALS[ordinal["word"]])
    if numbered := _NUMBERED.search(lowered):
        return _at(found, int(numbered["number"]) - 1)
    for pattern, end, fields in _SUPERLATIVES:
        if pattern.search(lowered):
            numbers = ((_number(record, fields), index) for index, record in enumerate(found))
            ranked = [(number, index) for number, index in numbers if number is not None]
            if ranked:
                return Pointed((found[end(ranked)[1]],), certain=True)
    named = [record for record in found if _is_named(record, lowered)]
    if named and len(named) < len(found):
        return Pointed(tuple(named), certain=True, every=len(named) > 1)
    if _EVERY.search(lowered):
        return Pointed(tuple(found), certain=True, every=True)
    return Pointed(tuple(found), certain=False)


def field_of(record: dict[str, Json], parameter: Parameter) -> tuple[int, Json] | None:
    """The value a record has for `parameter` by name, and how far the names are apart; None if nothing fits."""
    candidates = sorted((rank, len(key), key) for key in record if (rank := _name_distance(key, parameter)) is not None)
    for rank, _, key in candidates:
        value = record[key]
        if _suits(value, parameter):
            return rank, str(value) if parameter.type == "string" else value
    for value in record.values():
        if isinstance(value, dict) and (inner := field_of(value, parameter)) is not None:
            return inner
    return None


def lists_records(value: Json) -> bool:
    """Whether a result is, or holds, a list of records, of which "the first one" is one."""
    if isinstance(value, dict):
        return any(isinstance(item, list) and records(item) for item in value.values())
    return isinstance(value, list) and bool(records(value))


def referred_value(value: Json, parameter: Parameter) -> Json:
    """What "it" or "the result" stands for: the one number or text a result consists of."""
    whole = scalar(value)
    if parameter.numeric and isinstance(whole, str):
        try:
            return float(whole)
        except ValueError:
            return None
    return whole if _suits(whole, parameter) else None


def _at(found: Sequence[dict[str, Json]], index: int) -> Pointed:
    return Pointed((found[index],) if -len(found) <= index < len(found) else (), certain=True)


def _number(record: dict[str, Json], fields: frozenset[str]) -> float | None:
    for key, value in record.items():
        if fields & {stem(part) for part in name_parts(key)} and not isinstance(value, bool):
            if isinstance(value, int | float):
                return float(value)
            if isinstance(value, str) and re.match(r"\d{4}-\d\d", value):
                return float(value[:4]) * 10_000 + float(value[5:7]) * 100 + float(value[8:10] or 0)
    return None


def _is_named(record: dict[str, Json], lowered: str) -> bool:
    """Whether the text contains a name, title, address or id of the record."""
    texts = [value for value in record.values() if isinstance(value, str) and len(value) >= 4]
    return any(re.search(rf"(?<!\w){re.escape(text.lower())}(?!\w)", lowered) for text in texts)


def _name_distance(key: str, parameter: Parameter) -> int | None:
    """0 for the same name; more for names that mean the same; None for others."""
    parts = name_parts(key)
    stems = frozenset(stem(part) for part in parts)
    if key == parameter.name:
        return 0
    if stems == parameter.stems:
        return 1
    entity = parameter.stems - {"id"}
    if parameter.role is Role.IDENTIFIER:
        if parts == ("id",):
            return 2
        return 3 if parts in (("key",), ("uuid",), ("ref",), ("reference",)) or stems == entity else None
    if parameter.stems < stems and not stems & {"per", "id", "max", "min"}:
        return 4
    return 5 if parts and len(stems) == 1 and stems < parameter.stems and not parameter.bound else None


def _suits(value: Json, parameter: Parameter) -> bool:
    if value is None or isinstance(value, dict):
        return False
    if isinstance(value, bool):
        return parameter.type == "boolean"
    if parameter.numeric:
        fits = isinstance(value, int | float)
        return fits and conforms(value, parameter.schema)
    if parameter.type == "array":
        return isinstance(value, list)
    return isinstance(value, str | int) and parameter.type in ("string", "any") and conforms(value, parameter.schema)
