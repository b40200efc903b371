"""Durations as people write them in settings: `5`, `0.5`, `500ms`, `2m`, `1h30m`, `PT5S`.

Pure. This module must not know which settings there are.
"""

import re
from datetime import timedelta
from typing import Annotated, Any, Final, TypeAlias

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

__all__ = ["Duration"]

_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_PART: Final = r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)"
_PARTS: Final = re.compile(rf"(?:{_PART}\s*)+", re.IGNORECASE)
_HINT: Final = "use a number of seconds such as 5 or 0.5, or a unit as in 500ms, 5s, 2m or 1h"

_LIMITS: Final = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _read(value: Any, handler: ValidatorFunctionWrapHandler) -> timedelta:
    if str(value).strip().startswith("-") and not isinstance(value, timedelta):
        raise PydanticCustomError("duration", "a duration cannot be negative", {"hint": _HINT})
    try:
        if isinstance(value, str) and _PARTS.fullmatch(value.strip()):
            value = _by_parts(value)
        elif _is_number(value):
            value = timedelta(seconds=float(value))
    except (ValueError, OverflowError):  # 1.2.3, and longer than 2.7 million years
        pass
    try:
        # Besides a timedelta it takes ISO 8601 and hours:minutes:seconds, and it knows the limits of the field.
        duration: timedelta = handler(value)
    except ValidationError as error:
        limits = error.errors(include_url=False)[0].get("ctx", {})
        hint = next((f"use {_LIMITS[name]} {_shown(limit)}" for name, limit in limits.items() if name in _LIMITS), None)
        problem = "out of range" if hint else "not a duration"
        raise PydanticCustomError("duration", "{problem}", {"problem": problem, "hint": hint or _HINT}) from None
    return duration


def _shown(limit: str) -> str:
    """Pydantic says `100000 microseconds`; we say `0.1s`."""
    words = {"day": "d", "hour": "h", "minute": "m", "second": "s"}
    parts = re.findall(r"(\d+) (day|hour|minute|second|microsecond)s?", limit)
    if any(unit == "microsecond" for _, unit in parts):
        scales = {"day": 86400.0, "hour": 3600.0, "minute": 60.0, "second": 1.0, "microsecond": 1e-6}
        return f"{sum(int(number) * scales[unit] for number, unit in parts):g}s"
    return "".join(f"{number}{words[unit]}" for number, unit in parts) or limit


def _by_parts(text: str) -> timedelta:
    parts = re.findall(_PART, text, re.IGNORECASE)
    return sum((float(number) * _UNITS[unit.lower()] for number, unit in parts), timedelta(0))


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) or (
        isinstance(value, str) and re.fullmatch(r"\s*-?[\d.]+\s*", value) is not None
    )


Duration: TypeAlias = Annotated[timedelta, WrapValidator(_read)]
"""A field of a settings class: a `timedelta` that is not negative. Numbers are seconds."""
