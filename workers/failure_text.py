"""What the model is told when a tool fails: one line, without a stack trace and without secrets.

A pure function. This module must not know what becomes of the text, nor which outcome the failure is.
"""

from typing import Final

from messaging.redaction import redact
from workers.errors import NotDone, ToolFailed

__all__ = ["failure_text"]

_LONGEST_MEANT: Final = 4_000
"""A tool's own words to the model, in characters."""
_LONGEST_FOREIGN: Final = 300
"""The message of any other exception, in characters."""
_LONGEST_READ: Final = 10_000
"""How much of a foreign message is looked at, so that a page of HTML in it costs nothing."""


def failure_text(exception: BaseException) -> str:
    """What to tell the model of an exception that a tool raised.

    `ToolFailed` and `NotDone` were written for the model and are given word for word, up to 4,000 characters. Of every
    other exception it is the class and up to 300 characters of its message, on one line, with all that looks like a
    secret hidden. An exception group with one member is told as that member.
    """
    if isinstance(exception, ToolFailed | NotDone):
        words = _message(exception).strip().encode("utf-8", "replace").decode("utf-8")
        return _capped(words, _LONGEST_MEANT) or "The tool failed and gave no reason."
    if isinstance(exception, BaseExceptionGroup) and len(exception.exceptions) == 1:
        return failure_text(exception.exceptions[0])
    message = _capped(_one_line(redact(_message(exception)[:_LONGEST_READ])), _LONGEST_FOREIGN)
    name = type(exception).__name__
    return f"{name}: {message}" if message else name


def _message(exception: BaseException) -> str:
    try:
        return str(exception)
    except Exception:  # noqa: BLE001 - an exception whose text cannot be had must still be reported as a failure
        return ""


def _one_line(text: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())


def _capped(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
