"""Text of values: durations, arguments, results, tables' cells. Pure.

What models and tools say is shown on terminals here, so it passes through `printable` first: an escape sequence could
otherwise rewrite the screen, or a title, or the clipboard.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

__all__ = ["ago", "arguments_text", "duration_text", "one_line", "plural", "printable", "shortened"]

#: Characters that change the direction of what follows, with which a text can be made to look like another one.
_BIDIRECTIONAL: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_KEPT: Final = frozenset("\n\t")
_ELLIPSIS: Final = "…"


def printable(text: str) -> str:
    """The text with what would control a terminal replaced by `�`."""
    if text.isprintable():  # which no such character is
        return text
    return "".join("�" if _is_control(character) else character for character in text)


def _is_control(character: str) -> bool:
    if character in _KEPT:
        return False
    return unicodedata.category(character) in ("Cc", "Cs") or character in _BIDIRECTIONAL


def one_line(text: str) -> str:
    """The text on one line, printable."""
    return printable(re.sub(r"\s+", " ", text).strip())


def shortened(text: str, width: int) -> str:
    """The beginning of one line of text, at most `width` characters with its ellipsis."""
    line = one_line(text[: max(width, 1) * 4])
    if len(line) <= width and len(text) <= max(width, 1) * 4:
        return line
    return line[: max(width - 1, 0)].rstrip() + _ELLIPSIS


def duration_text(microseconds: float | None) -> str:
    """A duration in the unit that suits it: `0.4 ms`, `42 ms`, `1.30 s`, `2 min 5 s`. None is a dash."""
    if microseconds is None:
        return "–"
    milliseconds = microseconds / 1000
    if milliseconds < 9.95:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def ago(moment: datetime, *, now: datetime) -> str:
    """How long ago something was, in one unit: `12 s ago`, `3 h ago`."""
    elapsed = max(now - moment, timedelta(0))
    for unit, name in ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "min")):
        if elapsed >= unit:
            return f"{elapsed // unit} {name} ago"
    return f"{elapsed // timedelta(seconds=1)} s ago"


def arguments_text(arguments: str) -> str:
    """The arguments of a call as `name=value …`, or as the model wrote them if they are no JSON object."""
    try:
        values: Any = json.loads(arguments)
    except ValueError:
        return one_line(arguments)
    if not isinstance(values, Mapping):
        return one_line(arguments)
    return one_line(" ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items()))


def plural(number: int, noun: str) -> str:
    """`1 call`, `3 calls`."""
    if number != 1:
        noun += "es" if noun.endswith(("s", "sh")) else "s"
    return f"{number} {noun}"
