"""Reads arithmetic and conversions of units from a text. This module must not evaluate anything."""

import re
from typing import Final

_SUM = re.compile(r"[(\d][\d\s.,()]*(?:\*\*|[-+*/^×÷%])\s*[\d(][\d\s().,+\-*/^×÷%]*")
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}/\d{1,2}/\d{2,4}|\d+-\d+-\d+")
_OPERATORS: Final = (
    (re.compile(r"\bplus\b", re.IGNORECASE), "+"),
    (re.compile(r"\bminus\b", re.IGNORECASE), "-"),
    (re.compile(r"\b(?:times|multiplied by)\b|×", re.IGNORECASE), "*"),
    (re.compile(r"\b(?:divided by|over)\b|÷", re.IGNORECASE), "/"),
    (re.compile(r"\b(?:to the power of|raised to)\b|\^", re.IGNORECASE), "**"),
    (re.compile(r"\bsquared\b", re.IGNORECASE), "** 2"),
    (re.compile(r"\bcubed\b", re.IGNORECASE), "** 3"),
    (re.compile(r"(\d+(?:\.\d+)?)\s*(?:%|percent)\s*of\s+"), r"\1 / 100 * "),
    (re.compile(r"(?<=\d),(?=\d{3}\b)"), ""),
)
_ROOT = re.compile(r"square root of\s+(\d+(?:\.\d+)?)", re.IGNORECASE)
_CONVERSIONS: Final = (
    re.compile(
        r"\d\s*(?P<source>[^\W\d_]{1,30}|°\w?)\s+(?:to|in|into|as|is how many)\s+(?P<target>[^\W\d_]{1,30}|°\w?)"
    ),
    re.compile(r"how many\s+(?P<target>[^\W\d_]{1,30})\s.*?\d\s*(?P<source>[^\W\d_]{1,30}|°\w?)", re.IGNORECASE),
)
_BARE_CONVERSION = re.compile(r"\b(?P<source>[^\W\d_]{1,30})\s+(?:to|into)\s+(?P<target>[^\W\d_]{1,30})")


def expression_in(text: str) -> str | None:
    """The arithmetic in `text`, with words such as "plus" as signs; None if there is none."""
    root = _ROOT.search(text)
    text = _DATE.sub(" ", text)
    for pattern, sign in _OPERATORS:
        text = pattern.sub(sign, text)
    match = _SUM.search(text)
    if match:
        return re.sub(r"\s+", " ", match.group()).strip(" .,")
    return f"{root[1]} ** 0.5" if root else None


def conversion_in(text: str, *, bare: bool = False) -> tuple[str, str] | None:
    """The units something is converted from and to ("10 km to miles"); with `bare`, without a number before them."""
    for pattern in (*_CONVERSIONS, _BARE_CONVERSION) if bare else _CONVERSIONS:
        if match := pattern.search(text):
            return match["source"], match["target"]
    return None
