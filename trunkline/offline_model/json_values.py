"""JSON as plain values: the type, the canonical spelling, and how to look into text that may be JSON.

This module must not know what the values mean.
"""

import json
from typing import TypeAlias

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


def canonical(value: Json) -> str:
    """One spelling for equal values, so that two calls can be compared: sorted keys, no spaces, 5.0 as 5."""
    return json.dumps(_plain_numbers(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def parse(text: str) -> Json:
    """`text` read as JSON if it is JSON, else `text` itself."""
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value


def plain_number(value: float) -> int | float:
    """A whole number as int, so that it is written without `.0` and fits an integer parameter."""
    return int(value) if float(value).is_integer() and abs(value) < 1e15 else round(value, 6)


def _plain_numbers(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
