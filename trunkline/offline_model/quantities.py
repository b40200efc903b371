"""Reads numbers from a text: plain ones, money, percentages, number words, ranges and bounds.

"under $600k", "between 300k and 500k", "3-bedroom", "20%", "two dozen", "3d6", "at least 4". This module must not
know what a number is for.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from trunkline.offline_model.mention import MASK, Bound, Kind, Mention, preposition_before, stems_before
from trunkline.offline_model.vocabulary import STOP_WORDS
from trunkline.offline_model.words import stem

CURRENCY_SIGNS: Final = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR"}
#: Names a sum may carry after the number.
CURRENCY_NAMES: Final = {
    "dollar": "USD", "dollars": "USD", "usd": "USD", "bucks": "USD", "euro": "EUR", "euros": "EUR", "eur": "EUR",
    "pounds": "GBP", "pound": "GBP", "gbp": "GBP", "yen": "JPY", "jpy": "JPY", "rupees": "INR", "inr": "INR",
    "francs": "CHF", "chf": "CHF", "yuan": "CNY", "cny": "CNY", "cad": "CAD", "aud": "AUD", "sek": "SEK",
    "pesos": "MXN", "mxn": "MXN", "won": "KRW", "krw": "KRW", "brl": "BRL", "reais": "BRL", "nok": "NOK", "nzd": "NZD",
}  # fmt: skip
_SCALES: Final = {"k": 1e3, "thousand": 1e3, "grand": 1e3, "m": 1e6, "mm": 1e6, "mn": 1e6, "million": 1e6,
                  "millions": 1e6, "bn": 1e9, "b": 1e9, "billion": 1e9, "hundred": 1e2, "dozen": 12.0}  # fmt: skip
_SMALL: Final = {
    word: number
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_TENS: Final = {
    word: 10 * number
    for number, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}

#: More numbers than these are not read.
MOST_NUMBERS: Final = 200

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_AMOUNT = re.compile(
    rf"""(?<![\w.{MASK}])(?P<sign>(?<![\d)\]]\s)(?<![\w)\]])[-−](?=[\d.$€£]))?
    (?P<currency>[$€£¥₹]\s?)?(?P<digits>{_DIGITS})
    (?P<scale>\s?(?:thousand|grand|millions?|billion|hundred|dozen)\b|k\b|K\b|M\b|m\b|mm\b|mn\b|bn\b|B\b)?
    (?P<percent>\s?%|\s?percent(?:age)?\b|\s?per\s?cent\b|\s?pct\b)?
    (?P<code>\s(?i:{"|".join(CURRENCY_NAMES)})\b)?
    (?P<ordinal>(?:st|nd|rd|th)\b)?""",
    re.VERBOSE,
)
_CODE_FIRST = re.compile(r"\b(USD|EUR|GBP|JPY|CHF|CAD|AUD|INR|CNY)\s?$")
_DICE = re.compile(r"(?<![\w.])(\d*)[dD](\d+)\b")
_NUMBER_WORD = "|".join([*_SMALL, *_TENS, "hundred", "thousand", "million", "dozen"])
_SPELLED = re.compile(
    rf"\b(?:a\s+(?=hundred|thousand|million|dozen))?(?:{_NUMBER_WORD})(?:(?:[\s-]+|\s+and\s+)(?:{_NUMBER_WORD}))*\b"
    r"(?P<percent>\s?%|\s+percent\b)?(?P<code>\s(?:dollars|euros|pounds|bucks)\b)?",
    re.IGNORECASE,
)
_NOT_A_COUNT = re.compile(
    r"\b(?:this|that|the|first|second|third|last|next|cheapest|any|each|every|which|no|good|other|another|right"
    r"|\w+est|of|old|new|big|small)\s+$",
    re.IGNORECASE,
)

_MAX_BEFORE = re.compile(
    r"(?:\b(?:under|below|beneath|less than|fewer than|at most|up to|upto|no more than|not more than|not over"
    r"|cheaper than|lower than|smaller than|within|not exceeding|budget(?: (?:is|of))?)|<=?|≤"
    r"|\bmax(?:imum)?(?: \w+){0,2}? ?(?:of|is|=|:)?)\s*$",
    re.IGNORECASE,
)
_MIN_BEFORE = re.compile(
    r"(?:\b(?:over|above|more than|at least|starting (?:at|from)|greater than|higher than|larger than|bigger than"
    r"|no less than|not less than|exceeding|north of)|>=?|≥|\bmin(?:imum)?(?: \w+){0,2}? ?(?:of|is|=|:)?)\s*$",
    re.IGNORECASE,
)
_MAX_AFTER = re.compile(r"\s*(?:[\w-]+\s+)?(?:or (?:less|under|below|fewer|cheaper)|max(?:imum)?\b|tops\b|at most\b)")
_MIN_AFTER = re.compile(
    r"\s*(?:[\w-]+\s+)?(?:or (?:more|above|higher|over|up)\b|and up\b|min(?:imum)?\b|at least\b)|\s?\+(?!\s*\d)"
)
_RANGE_GAP = re.compile(r"\s*(?:-|–|—|to|and|through)\s*$", re.IGNORECASE)
#: A unit may come after a plus ("2+ baths") or behind another number's word ("two 20-sided dice").
_UNIT_WORD = re.compile(rf"(?:\+|\s(?:\d+|{_NUMBER_WORD})-[a-z]+)?[\s-]?([^\W\d_]+)")
_SCALED = re.compile(r"(k|m|mn|bn|thousand|million|billion)\W*$", re.IGNORECASE)
_NO_UNIT = frozenset({*_SMALL, *_TENS, "under", "below", "over", "near", "around", "plus", "minus", "times", "divided"})
_TIME_UNITS = frozenset({"year", "month", "week", "day", "hour", "minut", "second", "min"})


def read_quantities(text: str) -> list[Mention]:
    """Every number of `text` that is not masked, in order, with unit and bound."""
    found = [*_dice(text)]
    taken = bytearray(len(text))
    for mention in found:
        taken[mention.start : mention.end] = b"x" * (mention.end - mention.start)
    for mention in (*islice(_amounts(text), MOST_NUMBERS), *islice(_spelled(text), MOST_NUMBERS)):
        if math.isfinite(mention.number) and not any(taken[mention.start : mention.end]):
            found.append(mention)
            taken[mention.start : mention.end] = b"x" * (mention.end - mention.start)
    return _with_ranges(text, sorted(found, key=lambda mention: mention.start))


def _amounts(text: str) -> Iterator[Mention]:
    for match in _AMOUNT.finditer(text):
        scale = (match["scale"] or "").strip()
        money = bool(match["currency"] or match["code"])
        end = match.end()
        if scale == "m" and not money:  # "1.75m" are metres, "$1.2m" are millions
            scale, end = "", match.end("digits")
        number = float(match["digits"].replace(",", "")) * _SCALES.get(scale.lower(), 1.0)
        code_before = _CODE_FIRST.search(text[: match.start()])
        sign = (match["currency"] or "").strip()
        currency = CURRENCY_SIGNS.get(sign) or CURRENCY_NAMES.get((match["code"] or "").strip().lower(), "")
        kind = Kind.PERCENT if match["percent"] else Kind.MONEY if money or code_before else Kind.NUMBER
        yield _mention(
            text, kind, (match.start(), end), -number if match["sign"] else number, currency or _code(code_before)
        )


def _code(match: re.Match[str] | None) -> str:
    return match[1] if match else ""


def _dice(text: str) -> Iterator[Mention]:
    """The players' notation: 3d6 is three dice with six sides."""
    for match in _DICE.finditer(text):
        split = match.start() + len(match[1])
        if match[1]:
            yield Mention(Kind.NUMBER, match.start(), split, match[1], number=float(match[1]), unit=(stem("dice"),))
        yield Mention(Kind.NUMBER, split, match.end(), match[2], number=float(match[2]), unit=(stem("sides"),))


def _spelled(text: str) -> Iterator[Mention]:
    for match in _SPELLED.finditer(text):
        words = re.findall(r"[a-z]+", match.group().lower())
        if words == ["one"] and _NOT_A_COUNT.search(text[: match.start()]):
            continue
        if words[0] in {"hundred", "thousand", "million", "second"}:
            continue
        kind = Kind.PERCENT if match["percent"] else Kind.MONEY if match["code"] else Kind.NUMBER
        currency = CURRENCY_NAMES.get((match["code"] or "").strip().lower(), "")
        yield _mention(text, kind, match.span(), _spelled_number(words), currency)


def _spelled_number(words: list[str]) -> float:
    total = part = 0.0
    for word in words:
        if word in _SMALL:
            part += _SMALL[word]
        elif word in _TENS:
            part += _TENS[word]
        elif word in ("hundred", "dozen"):
            part = max(part, 1.0) * _SCALES[word]
        elif word in ("thousand", "million"):
            total += max(part, 1.0) * _SCALES[word]
            part = 0.0
    return total + part


def _mention(text: str, kind: Kind, span: tuple[int, int], number: float, currency: str) -> Mention:
    start, end = span
    unit, unit_end = _unit(text, end)
    return Mention(
        kind,
        start,
        end,
        text[start:end].strip(),
        number=number,
        unit=unit,
        unit_end=unit_end,
        before=stems_before(text, start),
        preposition=preposition_before(text, start),
        bound=_bound(text, start, end, unit),
        currency=currency,
    )


def _unit(text: str, end: int) -> tuple[tuple[str, ...], int]:
    """Stems of up to three words after a number, as far as no stop word or punctuation comes between; where the first
    of them ends."""
    unit: list[str] = []
    first_end = end
    while len(unit) < 3 and (match := _UNIT_WORD.match(text, end)):
        if match[1].lower() in STOP_WORDS or match[1].lower() in _NO_UNIT:
            break
        unit.append(stem(match[1]))
        end = match.end()
        first_end = end if len(unit) == 1 else first_end
    return tuple(unit), first_end


def _bound(text: str, start: int, end: int, unit: tuple[str, ...]) -> Bound | None:
    before = re.sub(r"\b(?:the|a|an|about|around)\s+$", "", text[max(0, start - 40) : start], flags=re.IGNORECASE)
    if _MAX_BEFORE.search(before) or _MAX_AFTER.match(text, end):
        return "max"
    if re.search(r"\bover\s*$", before, re.IGNORECASE) and unit and unit[0] in _TIME_UNITS:
        return None  # "over 30 years" is a duration
    if _MIN_BEFORE.search(before) or _MIN_AFTER.match(text, end):
        return "min"
    return None


def _with_ranges(text: str, mentions: list[Mention]) -> list[Mention]:
    """Marks "between 300k and 500k", "300-500k" and "1 to 10" as a minimum and a maximum."""
    result = list(mentions)
    for index in range(len(result) - 1):
        low, high = result[index], result[index + 1]
        gap = text[low.end : high.start]
        if not _RANGE_GAP.fullmatch(gap) or not _is_range(text, low, gap):
            continue
        scale = _SCALED.search(high.text)
        number = low.number * (_SCALES[scale[1].lower()] if scale and not _SCALED.search(low.text) else 1.0)
        kind = high.kind if low.kind is Kind.NUMBER else low.kind
        if number < high.number:
            result[index] = replace(low, number=number, kind=kind, bound="min", unit=low.unit or high.unit)
            result[index + 1] = replace(high, kind=kind, bound="max", currency=high.currency or low.currency)
    return result


def _is_range(text: str, low: Mention, gap: str) -> bool:
    word = gap.strip().lower()
    before = text[max(0, low.start - 12) : low.start].lower()
    if word == "and":
        return re.search(r"\bbetween\s*$", before) is not None
    if word in ("to", "through"):
        return re.search(r"\b(?:add|convert|from [a-z]+)\s*$", before) is None
    return " " not in gap or word != "-"  # "300-500" is a range, "10 - 3" a subtraction
