"""The trace of a job as a waterfall: a line for each span, and what the job's time was owed to. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from telemetry import conventions as names
from telemetry.traces.critical_path import critical_path
from telemetry.traces.span import Span
from trunkline.command_line.output import Output
from trunkline.command_line.rendering import duration_text, one_line

__all__ = ["Line", "lines_of", "owed_text", "waterfall_json", "waterfall_table"]

_WAITS: Final = (names.QUEUE_WAIT, names.RETRY_WAIT, names.RATELIMIT_WAIT, names.CONVERSATION_WAIT, names.GATHER)
_BAR: Final = 40
_NARROW_BAR: Final = 20
_WIDE: Final = 100
#: What owes less of the whole is not named.
_WORTH_NAMING: Final = 0.02


@dataclass(frozen=True, slots=True)
class Line:
    """A span with its place in the tree."""

    span: Span
    depth: int
    owed_us: int | None
    """How much of the critical path is its own; None if it is not on it."""

    @property
    def took_us(self) -> int:
        """From its beginning to its end, the last microsecond included."""
        return self.span.end_us - self.span.start_us + (self.depth > 0)

    @property
    def is_wait(self) -> bool:
        """Whether nothing was done meanwhile."""
        return self.span.name.startswith(_WAITS)


def lines_of(spans: Sequence[Span], root_id: str) -> list[Line]:
    """The spans in the order of the tree, each level by time."""
    owed = critical_path(spans, root_id)
    children: dict[str | None, list[Span]] = {}
    for span in spans:
        children.setdefault(span.parent_id, []).append(span)
    lines: list[Line] = []

    def add(span: Span, depth: int) -> None:
        lines.append(Line(span, depth, owed.get(span.span_id)))
        for child in sorted(
            children.get(span.span_id, ()),
            key=lambda child: (child.start_us, child.end_us > child.start_us, -child.end_us),
        ):
            add(child, depth + 1)

    add(next(span for span in spans if span.span_id == root_id), 0)
    return lines


def waterfall_table(lines: Sequence[Line], output: Output) -> Table:
    """Name, bar, duration and remarks of each span; those on the critical path are marked."""
    bar = _BAR if output.console.width >= _WIDE else _NARROW_BAR
    root = lines[0].span
    table = output.table("", "span", "", ">took", "~")
    for line in lines:
        style = "red" if line.span.error else "" if line.owed_us is not None else "dim"
        table.add_row(
            Text("●" if line.owed_us else " ", "yellow"),
            Text("  " * line.depth + one_line(line.span.name), style),
            Text(_bar(line, root, bar), "dim" if line.is_wait else "red" if line.span.error else "cyan"),
            duration_text(line.took_us),
            Text(_remarks(line.span), "dim"),
        )
    return table


def owed_text(lines: Sequence[Line]) -> str:
    """What the job's time was owed to, the most first: `chat gpt-5-mini 1.20 s (61 %), …`."""
    whole_us = max(1, lines[0].took_us)
    by_name: dict[str, int] = {}
    for line in lines:
        if line.owed_us:
            name = one_line(line.span.name)
            by_name[name] = by_name.get(name, 0) + line.owed_us
    most_first = sorted(by_name.items(), key=lambda item: -item[1])
    named = [(name, us) for name, us in most_first if us / whole_us >= _WORTH_NAMING] or most_first[:1]
    return ", ".join(f"{name} {duration_text(us)} ({us / whole_us:.0%})" for name, us in named)


def waterfall_json(lines: Sequence[Line]) -> list[Mapping[str, Any]]:
    """The same for programs."""
    return [
        {
            "span_id": line.span.span_id,
            "parent_id": line.span.parent_id,
            "name": line.span.name,
            "start_us": line.span.start_us,
            "end_us": line.span.end_us,
            "error": line.span.error,
            "critical_us": line.owed_us,
            "attributes": dict(line.span.attributes),
        }
        for line in lines
    ]


def _bar(line: Line, root: Span, width: int) -> str:
    whole_us = max(1, root.end_us - root.start_us)
    begin = min(width - 1, round((line.span.start_us - root.start_us) / whole_us * width))
    length = max(1, round(line.took_us / whole_us * width))
    return " " * begin + ("░" if line.is_wait else "█") * min(length, width - begin)


def _remarks(span: Span) -> str:
    given = span.attributes
    remarks = [str(given[names.ERROR_TYPE])] if names.ERROR_TYPE in given else []
    end, attempt, throttled = given.get(names.ATTEMPT_END), given.get(names.ATTEMPT), given.get(names.THROTTLED)
    if isinstance(attempt, int) and attempt > 1:
        remarks.append(f"attempt {attempt}")
    if end in ("lost", "stopped", "open") and end not in remarks:
        remarks.append(str(end))
    if isinstance(throttled, float) and throttled > 0:
        remarks.append(f"{duration_text(throttled * 1e6)} of it throttled")
    if given.get(names.CALL_CACHED):
        remarks.append("cached")
    tokens = given.get(names.INPUT_TOKENS)
    if tokens is not None:
        remarks.append(f"{tokens} + {given.get(names.OUTPUT_TOKENS, 0)} tokens")
    return ", ".join(remarks)
