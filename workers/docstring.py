"""What a tool's docstring says to the model: the description, and a text for each parameter (Google style).

Pure text. This module must not know signatures or schemas.
"""

import re
from dataclasses import dataclass, field
from inspect import cleandoc

__all__ = ["Docstring", "read_docstring"]

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Yields|Raises):\s*$")
_PARAMETER_SECTIONS = {"Args", "Arguments", "Parameters"}
_PARAMETER = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")


@dataclass(frozen=True)
class Docstring:
    """What was found in a docstring."""

    description: str = ""
    """Everything before the first section that documents code (`Args:`, `Returns:`, …)."""
    parameters: dict[str, str] = field(default_factory=dict)
    """By name, each on one line."""


def read_docstring(text: str | None) -> Docstring:
    """Read a docstring as Python keeps it; None and an empty one give an empty description."""
    description: list[str] = []
    section: str | None = None
    entries: list[str] = []
    for line in cleandoc(text or "").splitlines():
        header = _SECTION.match(line)
        if header:
            section = header[1]
        elif section is None:
            description.append(line)
        elif section in _PARAMETER_SECTIONS:
            entries.append(line)
    return Docstring("\n".join(description).strip(), dict(_entries(entries)))


def _entries(lines: list[str]) -> list[tuple[str, str]]:
    """Entries begin at the first line's indentation; what is indented further continues the one before."""
    filled = [line for line in lines if line.strip()]
    if not filled:
        return []
    indentation = len(filled[0]) - len(filled[0].lstrip())
    entries: list[tuple[str, list[str]]] = []
    for line in filled:
        depth = len(line) - len(line.lstrip())
        if depth < indentation:
            break
        match = _PARAMETER.match(line.strip()) if depth == indentation else None
        if match:
            entries.append((match[1], [match[2]]))
        elif entries:
            entries[-1][1].append(line.strip())
    return [(name, " ".join(words).strip()) for name, words in entries]
