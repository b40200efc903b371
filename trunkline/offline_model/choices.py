"""Fills parameters with a closed set of values: enums and booleans, from the words of a clause.

This module must not know other parameters than the one it is asked about.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from trunkline.offline_model.json_values import Json
from trunkline.offline_model.mention import NUMERIC, Mention
from trunkline.offline_model.offered import Parameter
from trunkline.offline_model.roles import TIME_UNITS
from trunkline.offline_model.vocabulary import ENUM_ALIASES, NO_WORDS, STOP_WORDS, YES_WORDS, alike
from trunkline.offline_model.words import Word, name_parts, split_words, stem, stem_set, word_set

_EMPTY_FLAGS: Final = stem_set(
    "is has have include includes with use uses enable enabled allow allowed should want only show on active"
)
_NEGATIONS: Final = word_set("no not without don't doesn't exclude excluding disable non never off isn't")
_SETTERS: Final = word_set("turn turned switch switched set put be to is mode")


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of an enum, and where the text says it."""

    value: Json
    start: int
    end: int


def chosen_values(parameter: Parameter, words: Sequence[Word], mentions: Sequence[Mention]) -> list[Choice]:
    """The values of `parameter`'s enum that the words name, in the order of the text."""
    units = [(m.end, m.unit_end) for m in mentions if m.kind in NUMERIC and m.unit and m.unit[0] in TIME_UNITS]
    plain = [w for w in words if " " not in w.text and not any(low <= w.start < high for low, high in units)]
    found: list[Choice] = []
    for value in sorted(parameter.enum, key=lambda value: -len(str(value))):
        if isinstance(value, str):
            found.extend(_occurrences(value, plain, parameter, found))
            found.extend(Choice(value, m.start, m.end) for m in mentions if m.text.lower() == value.lower() and m.text)
        else:
            found.extend(Choice(value, m.start, m.end) for m in mentions if m.kind in NUMERIC and m.number == value)
    return sorted({choice.start: choice for choice in found}.values(), key=lambda choice: choice.start)


def preferred(parameter: Parameter, choices: list[Choice], words: Sequence[Word]) -> Choice | None:
    """The choice that suits the parameter's direction ("fahrenheit to celsius"), else the first."""
    if not choices or parameter.direction is None:
        return choices[0] if choices else None
    led = [choice for choice in choices if _leads(choice, words) in ("to", "into", "in", "as")]
    if parameter.direction == "to":
        return led[0] if led else (choices[-1] if len(choices) > 1 else None)
    rest = [choice for choice in choices if choice not in led]
    return rest[0] if rest else None


def yes_or_no(parameter: Parameter, text: str, words: Sequence[Word]) -> Choice | None:
    """What the words say about a boolean parameter; None if nothing."""
    name = r"[\s_-]?".join(re.escape(part) for part in parameter.parts)
    said = re.search(rf"\b{name}\s*(?:[=:]|is|to)?\s*(\w+)", text, re.IGNORECASE)
    if said and said[1].lower() in YES_WORDS | NO_WORDS:
        return Choice(said[1].lower() in YES_WORDS, 0, 0)
    wanted = parameter.stems - _EMPTY_FLAGS
    if not wanted:
        switched = _switched(words)
        return None if switched is None else Choice(switched, 0, 0)
    places = [place for word in wanted if (place := _place(word, words)) is not None]
    if len(places) < len(wanted):
        return None
    negated = any(word.plain in _NEGATIONS for word in words[max(0, min(places) - 3) : min(places)])
    return Choice(not negated, words[min(places)].start, words[max(places)].end)


def _occurrences(value: str, words: list[Word], parameter: Parameter, found: list[Choice]) -> list[Choice]:
    result: list[Choice] = []
    for wanted in _spellings(value):
        size = len(wanted)
        for index in range(len(words) - size + 1):
            if words[index].stem != wanted[0]:
                continue
            run = words[index : index + size]
            start, end = run[0].start, run[-1].end
            if tuple(word.stem for word in run) != wanted or any(
                c.start < end and start < c.end for c in (*found, *result)
            ):
                continue
            if _is_meant(run, words, parameter):
                result.append(Choice(value, start, end))
    return result


@lru_cache(maxsize=1024)
def _spellings(value: str) -> tuple[tuple[str, ...], ...]:
    """The stems of the value itself, then of what it may be called: `ENUM_ALIASES` in both directions."""
    key = value.lower()
    names = [value, *ENUM_ALIASES.get(key, ())]
    for name, aliases in ENUM_ALIASES.items():
        if key in aliases and name != "single_family":
            names.extend([name, *aliases])
    split = [[word.text for part in name_parts(name) or (name,) for word in split_words(part)] for name in names]
    return tuple(dict.fromkeys(tuple(stem(part) for part in parts) for parts in split if parts))


def _is_meant(run: list[Word], words: list[Word], parameter: Parameter) -> bool:
    """Whether a word that is also a letter or a filler really names the value."""
    text, index = run[0].text, words.index(run[0])
    before = words[index - 1] if index else None
    if len(run) > 1:
        return True
    if len(text) == 1 and text.isalpha():
        return text.isupper() and (before is None or before.text == "°" or before.text.isdigit() or text not in "IA")
    if run[0].plain not in STOP_WORDS | {"on", "off"}:
        return True
    neighbours = [word for word in (before, *words[index + 1 : index + 2]) if word is not None]
    if any(alike(word.stem, part) for word in neighbours for part in parameter.stems):
        return True
    switched = run[0].plain in ("on", "off") and any(word.plain in ("turn", "switch") for word in words[:index])
    return switched or (before is not None and before.plain in _SETTERS)


def _leads(choice: Choice, words: Sequence[Word]) -> str:
    before = [word.plain for word in words if word.end <= choice.start]
    return before[-1] if before else ""


def _place(wanted: str, words: Sequence[Word]) -> int | None:
    return next((index for index, word in enumerate(words) if alike(word.stem, wanted)), None)


def _switched(words: Sequence[Word]) -> bool | None:
    plain = [word.plain for word in words]
    if "off" in plain or "disable" in plain:
        return False
    return True if "enable" in plain or ("on" in plain and {"turn", "switch"} & set(plain)) else None
