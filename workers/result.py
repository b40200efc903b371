"""What a tool returned, as the text that the model reads.

A `str` is that text, word for word; everything else becomes JSON. This module must not know limits, nor where the text
goes.
"""

from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from workers.errors import ResultDoesNotFit, ResultNotSerializable
from workers.signature_arguments import problems_of
from workers.tool import Tool

__all__ = ["result_text", "size_in_bytes"]


def result_text(result: object, *, tool: Tool[..., Any]) -> str:
    """The content of the tool message for `result`.

    If the function says what it returns, the result is checked against that first, and converted as arguments are: a
    dict becomes the annotated model, with its defaults. Dates and times are ISO 8601. A Decimal is a string of its
    digits (`"19.90"`), since a JSON number would lose some of them. NaN and infinities are null, as JSON has neither.

    Raises:
        ResultDoesNotFit: it is not what the function's return annotation says; the error names the fields.
        ResultNotSerializable: something in it has no JSON form; the error names its type.
    """
    if tool.result_adapter is not None:
        try:
            result = tool.result_adapter.validate_python(result)
        except ValidationError as error:
            raise ResultDoesNotFit(tool.reference, problems=problems_of(error, result)) from error
    if isinstance(result, str):
        # The plain text also of a StrEnum; and what UTF-8 cannot hold must not stop the outcome from being recorded.
        return str.__str__(result).encode("utf-8", "replace").decode("utf-8")
    try:
        if tool.result_adapter is not None:
            return tool.result_adapter.dump_json(result, warnings=False).decode("utf-8")
        return to_json(result, inf_nan_mode="null").decode("utf-8")
    except (PydanticSerializationError, RecursionError) as error:
        raise ResultNotSerializable(tool.reference, problem=str(error)) from error


def size_in_bytes(text: str) -> int:
    """The size of a result as it is stored: in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8"))
