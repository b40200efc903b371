"""Whether a value satisfies the part of JSON Schema that tools use: type, enum, bounds, length, pattern.

A value that does not is not sent; the parameter counts as not filled. What is not understood here is let through: the
tool's own check decides.
"""

import re
from collections.abc import Mapping

from trunkline.offline_model.json_values import Json


def conforms(value: Json, schema: Mapping[str, Json]) -> bool:
    """Whether `value` satisfies `schema` as far as this module understands it."""
    allowed = schema.get("enum")
    if isinstance(allowed, list) and value not in allowed:
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return _within_bounds(value, schema)
    if isinstance(value, str):
        return _fits_string(value, schema)
    if isinstance(value, list):
        return _fits_array(value, schema)
    return True


def _within_bounds(value: float, schema: Mapping[str, Json]) -> bool:
    def bound(key: str) -> float | None:
        limit = schema.get(key)
        return limit if isinstance(limit, int | float) and not isinstance(limit, bool) else None

    low, high, step = bound("minimum"), bound("maximum"), bound("multipleOf")
    above, below = bound("exclusiveMinimum"), bound("exclusiveMaximum")
    return not (
        (low is not None and value < low)
        or (high is not None and value > high)
        or (above is not None and value <= above)
        or (below is not None and value >= below)
        or (step and abs(value / step - round(value / step)) > 1e-9)
    )


def _fits_string(value: str, schema: Mapping[str, Json]) -> bool:
    shortest, longest, pattern = schema.get("minLength"), schema.get("maxLength"), schema.get("pattern")
    if isinstance(shortest, int) and len(value) < shortest:
        return False
    if isinstance(longest, int) and len(value) > longest:
        return False
    if isinstance(pattern, str):
        try:
            return re.search(pattern, value) is not None
        except re.error:
            return True
    return True


def _fits_array(value: list[Json], schema: Mapping[str, Json]) -> bool:
    fewest, most = schema.get("minItems"), schema.get("maxItems")
    if isinstance(fewest, int) and len(value) < fewest:
        return False
    return not (isinstance(most, int) and len(value) > most)
