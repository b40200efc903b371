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


def _read(value: Any, handler: ValidatorFunctionWrapHandler) -> timedelta:
    try:
        duration = _by_parts(value) if isinstance(value, str) else None
        if duration is None:
            # Seconds as a number, or in figures; ISO 8601; hours:minutes:seconds.
            duration = timedelta(seconds=float(value)) if _is_number(value) else handler(value)
    except (ValidationError, ValueError, OverflowError):  # OverflowError: longer than 2.7 million years
        duration = None
    if not isinstance(duration, timedelta):
        raise PydanticCustomError("duration", "not a duration", {"hint": _HINT})
    if duration < timedelta(0):
        raise PydanticCustomError("duration", "a duration cannot be negative", {"hint": _HINT})
    return duration


def _by_parts(text: str) -> timedelta | None:
    if not _PARTS.fullmatch(text.strip()):
        return None
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
