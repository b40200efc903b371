"""What a text mentions: one thing with its kind, its value and its place. The readers produce these.

This module must not know how a mention is recognised, nor what it will be used for.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, time
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from trunkline.offline_model.words import stems, word_set

#: Stands in a masked text where something has been read already; no reader's pattern matches it.
MASK: Final = "\ufffc"


class Kind(StrEnum):
    """What sort of thing is mentioned."""

    MONEY = "money"
    PERCENT = "percent"
    NUMBER = "number"
    MOMENT = "moment"
    QUOTED = "quoted"
    CONTENT = "content"
    JSON = "json"
    URL = "url"
    EMAIL = "email"
    PHONE = "phone"
    PATH = "path"
    IDENTIFIER = "identifier"
    PLACE = "place"
    PROPER = "proper"
    LANGUAGE = "language"
    CURRENCY = "currency"
    RESULT = "result"


NUMERIC: Final = frozenset({Kind.MONEY, Kind.PERCENT, Kind.NUMBER})

Bound: TypeAlias = Literal["min", "max"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A date, a time of day, or both."""

    day: date | None
    clock: time | None


@dataclass(frozen=True, slots=True)
class Mention:
    """One thing a text mentions; `end` is exclusive. Its value is in `number`, `moment` or else `text`."""

    kind: Kind
    start: int
    end: int
    text: str
    number: float = 0.0
    moment: Moment | None = None
    unit: tuple[str, ...] = ()
    """Stems of the words that directly follow a number: `("bedroom",)` in "3-bedroom house"."""
    unit_end: int = 0
    """Where the first of these words ends."""
    before: tuple[str, ...] = field(default=(), compare=False)
    """Stems of up to four words before it, nearest last."""
    preposition: str = ""
    """The nearest preposition before it, if nothing but articles is between."""
    bound: Bound | None = None
    initial: bool = False
    """Whether it begins its sentence, where a capital letter says little."""
    currency: str = ""
    """ISO code of a sum of money or of a currency; of a language its ISO code."""


_PREPOSITIONS = word_set(
    "in near around at from to into for of on by with about until till as via between starting start through named"
    " called titled under over before after is since than onto speak"
)
_SKIPPED = word_set("the a an my our your city state town zip code area user customer mr mrs ms dr")
_WORD_BEFORE = re.compile(r"[\w'’#=:]+|[:=#]")


def masked(text: str, mentions: Iterable[Mention]) -> str:
    """`text` with every mention's place blotted out, at its length."""
    for mention in mentions:
        text = text[: mention.start] + MASK * (mention.end - mention.start) + text[mention.end :]
    return text


def preposition_before(text: str, start: int) -> str:
    """The preposition that governs what begins at `start`, or an empty string."""
    for word in reversed(_WORD_BEFORE.findall(text[max(0, start - 40) : start])[-3:]):
        plain = word.lower()
        if plain in _PREPOSITIONS:
            return str(plain)
        if plain not in _SKIPPED:
            return ""
    return ""


def stems_before(text: str, start: int) -> tuple[str, ...]:
    """Stems of up to four words of the same sentence before `start`, nearest last."""
    tail = re.split(r"[.!?;\n](?:\s|$)", text[max(0, start - 60) : start])[-1]
    return stems(tail)[-4:]


def begins_sentence(text: str, start: int) -> bool:
    """Whether `start` is the first letter of a sentence of `text`."""
    return re.search(r"(?:^|[.!?:;\n]\s*|[\"'“(]\s*)$", text[:start]) is not None
