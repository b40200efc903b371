"""Words of a text, and their stems.

The stemmer is a short suffix stripper in the manner of Porter (1980): it need not give real roots, only the same
one for words that belong together ("translation", "translate"). This module must not know tools.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+|[+*/^×÷=°]")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_VOWEL = re.compile(r"[aeiouy]")

#: Words whose stem the suffixes would get wrong, or that are abbreviations.
_IRREGULAR: Final = {
    "stats": "statist", "statistic": "statist", "statistics": "statist",
    "conversion": "convert", "conversions": "convert",
    "summary": "summar", "summarise": "summar", "summarize": "summar", "summaries": "summar", "summarization": "summar",
    "listing": "listing", "listings": "listing", "building": "building", "buildings": "building",
    "meeting": "meeting", "meetings": "meeting", "string": "string", "thing": "thing", "nothing": "nothing",
    "dice": "die", "people": "person", "children": "child", "men": "man", "women": "woman",
    "bed": "bedroom", "beds": "bedroom", "br": "bedroom", "bdr": "bedroom", "bd": "bedroom",
    "bath": "bathroom", "baths": "bathroom", "ba": "bathroom",
    "yr": "year", "yrs": "year", "min": "min", "mins": "minut", "minute": "minut", "minutes": "minut",
    "hr": "hour", "hrs": "hour", "hour": "hour", "hours": "hour", "sec": "second", "secs": "second",
    "sent": "send", "bought": "buy", "paid": "pay", "spelt": "spell", "found": "find", "told": "tell",
    "ids": "id", "urls": "url", "gas": "gas", "news": "news", "address": "address", "addresses": "address",
    "series": "series", "status": "status", "pay": "pay", "payment": "payment", "payments": "payment",
    "sided": "side", "side": "side", "sides": "side", "tax": "tax", "taxes": "tax", "analysis": "analyz",
    "analyse": "analyz", "analyze": "analyz", "sqrt": "sqrt", "num": "number", "nums": "number", "qty": "quantiti",
    "avg": "average", "average": "average", "averages": "average", "msg": "message", "temp": "temperatur",
    "temps": "temperatur", "pct": "percent", "percentage": "percent", "info": "info", "information": "info",
    "does": "do", "is": "is", "was": "was", "this": "this", "us": "us", "as": "as", "his": "his", "its": "it",
    "count": "count", "counts": "count", "county": "county", "country": "country", "countries": "country",
    "general": "general", "number": "number", "numbers": "number", "weather": "weather", "latter": "latter",
    "letter": "letter", "letters": "letter", "order": "order", "orders": "order", "user": "user", "users": "user",
    "paper": "paper", "water": "water", "computer": "computer", "computers": "computer", "owner": "owner",
    "timer": "timer", "timers": "timer", "counter": "counter", "customer": "customer", "customers": "customer",
    "flyer": "flyer", "tower": "tower", "power": "power", "better": "better", "station": "station",
    "addition": "add", "additions": "add", "division": "divid", "divisions": "divid",
    "definition": "defin", "definitions": "defin", "description": "describ", "descriptions": "describ",
    "cancellation": "cancel", "cancellations": "cancel", "cancelled": "cancel", "cancelling": "cancel",
    "kilogram": "kg", "kilograms": "kg", "kilo": "kg", "kilos": "kg", "kgs": "kg", "centimeter": "cm",
    "centimeters": "cm", "centimetre": "cm", "centimetres": "cm", "kilometer": "km", "kilometers": "km",
    "kilometre": "km", "kilometres": "km", "metre": "meter", "metres": "meter", "meter": "meter", "meters": "meter",
    "feet": "foot", "ft": "foot", "lbs": "lb", "pound": "lb", "pounds": "lb", "mph": "mph",
    "note": "note", "notes": "note", "subscription": "subscrib", "pronunciation": "pronounc",
}  # fmt: skip

#: (suffix, what replaces it, letters that must remain before it); the first that fits is used, once.
_SUFFIXES: Final = (
    ("ication", "y", 3),
    ("ization", "iz", 4), ("isation", "iz", 4),
    ("ability", "", 4), ("ibility", "", 4),
    ("ation", "", 5), ("ator", "", 5), ("ative", "", 5), ("ate", "", 5), ("at", "", 5),
    ("able", "", 5), ("ible", "", 5),
    ("ment", "", 4), ("ness", "", 4),
    ("sion", "s", 5), ("ion", "", 5),
    ("ly", "", 4), ("er", "", 4), ("al", "", 6),
    ("ise", "iz", 5), ("ize", "iz", 4),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Word:
    """One word with its place in the text; `end` is exclusive."""

    text: str
    stem: str
    start: int
    end: int

    @property
    def plain(self) -> str:
        """Lower case, without a possessive `'s`."""
        return _plain(self.text)


def split_words(text: str) -> tuple[Word, ...]:
    """The words, whole numbers and arithmetic signs of `text`, in order."""
    return tuple(Word(m.group(), stem(m.group()), m.start(), m.end()) for m in _WORD.finditer(text))


def stems(text: str) -> tuple[str, ...]:
    """The stems of the words of `text`, in order."""
    return tuple(stem(m.group()) for m in _WORD.finditer(text))


def word_set(text: str) -> frozenset[str]:
    """The set of the words of a list written as plain text; how word lists are spelled in this package."""
    return frozenset(text.split())


def stem_set(text: str) -> frozenset[str]:
    """The set of the stems of a list written as plain text."""
    return frozenset(stem(word) for word in text.split())


def name_parts(name: str) -> tuple[str, ...]:
    """The lower-case parts of an identifier: `search_properties`, `searchProperties` and `search-properties` alike."""
    return tuple(part.lower() for chunk in re.split(r"[\W_]+", name) for part in _CAMEL.split(chunk) if part)


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """A form that related words share; not a word of English."""
    word = _plain(word)
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) > 5:
        word = word.replace("our", "or")
    word = _singular(word)
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    return _root(_without_ending(word))


def _plain(word: str) -> str:
    word = word.lower().replace("’", "'")
    return word[:-2] if word.endswith("'s") else word


def _singular(word: str) -> str:
    if len(word) <= 3 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "ches", "shes", "xes", "zes")):
        return word[:-2]
    return word.removesuffix("s")


def _without_ending(word: str) -> str:
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= 3 and _VOWEL.search(rest):
            doubled = len(rest) > 3 and rest[-1] == rest[-2] and rest[-1] not in "lsz"
            return rest[:-1] if doubled else rest
    return word


def _root(word: str) -> str:
    for suffix, replacement, remain in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= remain and not word.endswith("ply"):
            word = word.removesuffix(suffix) + replacement
            break
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    if len(word) > 3 and word.endswith("y"):
        word = word[:-1] + "i"
    return word
