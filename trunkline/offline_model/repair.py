"""Mends the arguments of a rejected call, where the rejection says how. Values are not made up here either.

This module must not decide whether to try again.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from trunkline.offline_model.choices import chosen_values
from trunkline.offline_model.json_values import Json, canonical, plain_number
from trunkline.offline_model.offered import OfferedTool, Parameter
from trunkline.offline_model.results import FieldProblem
from trunkline.offline_model.schema_check import conforms
from trunkline.offline_model.words import split_words, stems

_OPTIONS = re.compile(r"'([^']+)'|\"([^\"]+)\"|`([^`]+)`")
_LIMIT = re.compile(
    r"(?P<side>less than or equal to|at most|less than|<=?|maximum of|no more than|greater than or equal to|at least"
    r"|greater than|>=?|minimum of)\s*(?P<limit>-?\d+(?:\.\d+)?)",
    re.IGNORECASE,
)


def repaired(
    tool: OfferedTool, arguments: dict[str, Json], problems: Sequence[FieldProblem], text: str
) -> dict[str, Json] | None:
    """`arguments` with every field that was objected to mended or left out; None if that is not possible.

    Args:
        tool: The tool that rejected them.
        arguments: What was sent.
        problems: What was objected to.
        text: What the user wrote, for choosing among values the objection offers.
    """
    mended = dict(arguments)
    for problem in problems:
        name = re.split(r"[.\[]", problem.path)[0]
        if name not in mended:
            return None  # a missing field: had the text a value for it, it would have been sent
        parameter = tool.parameter(name)
        value = _mended(parameter, mended[name], problem.reason, text) if parameter else None
        if value is not None:
            mended[name] = value
        elif parameter is None or not parameter.required:
            del mended[name]
        else:
            return None
    return mended if canonical(mended) != canonical(arguments) else None


def _mended(parameter: Parameter, value: Json, reason: str, text: str) -> Json:
    options = tuple(next(group for group in match if group) for match in _OPTIONS.findall(reason))
    if len(options) > 1:
        return _option(parameter, options, value, text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value, reason)
    if isinstance(value, str) and re.search(r"\b(?:number|integer|float)\b", reason):
        digits = re.sub(r"[^\d.-]", "", value)
        return plain_number(float(digits)) if re.fullmatch(r"-?\d+(?:\.\d+)?", digits) else None
    return None


def _option(parameter: Parameter, options: tuple[str, ...], value: Json, text: str) -> Json:
    """The allowed value that the text names, or that differs from the one sent only in form."""
    chosen = chosen_values(replace(parameter, enum=options), split_words(text), ())
    if chosen:
        return chosen[0].value
    same = [option for option in options if stems(option) == stems(str(value))]
    return same[0] if same and same[0] != value else None


def _number(value: float, reason: str) -> Json:
    """A share for a percentage or a percentage for a share, if that is within the limit; else text for a number."""
    match = _LIMIT.search(reason)
    if match is None:
        return str(value) if re.search(r"\bstring\b", reason) else None
    limit, above = float(match["limit"]), match["side"].lower().startswith(("g", "at l", ">", "min"))
    schema: dict[str, Json] = {"minimum" if above else "maximum": limit}
    candidate = value / 100 if "maximum" in schema and limit <= 1 else value * 100 if value < 1 else None
    if candidate is None or not conforms(candidate, schema):
        return None
    return plain_number(candidate)
