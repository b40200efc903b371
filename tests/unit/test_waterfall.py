"""The waterfall of a job in the terminal, and what its time was owed to."""

from io import StringIO

import pytest
from rich.console import Console

from telemetry import conventions as names
from telemetry.traces.critical_path import critical_path
from telemetry.traces.span import Span
from trunkline.command_line.output import Output
from trunkline.command_line.waterfall import lines_of, owed_text, waterfall_json, waterfall_table


def span(id: str, parent: str | None, name: str, start_us: int, end_us: int, **more: object) -> Span:
    attributes = {names.THROTTLED: 0.5} if name.startswith(names.QUEUE_WAIT) else {}
    return Span("ab", id, parent, name, "internal", start_us, end_us, attributes, error=bool(more.get("error")))


JOB = [
    span("root", None, "invoke_agent", 0, 1_000_000),
    span("turn", "root", "process orchestrator", 0, 99_999),
    span("slow", "root", "execute_tool slow", 100_000, 799_999),
    span("wait", "slow", "queue.wait p", 100_000, 599_999),
    span("work", "slow", "process p", 600_000, 799_999, error=True),
    span("quick", "root", "execute_tool quick", 100_000, 199_999),
    span("gather", "root", "gather", 100_000, 799_998),
    span("last", "root", "process orchestrator", 800_000, 999_999),
]


def test_the_critical_path_goes_through_what_ended_last_and_adds_up_to_the_whole() -> None:
    owed = critical_path(JOB, "root")
    assert set(owed) == {"root", "turn", "slow", "wait", "work", "last"}
    assert (owed["wait"], owed["work"], owed["slow"]) == (499_999, 199_999, 1)
    assert sum(owed.values()) == pytest.approx(1_000_000, abs=10)


def test_lines_are_a_tree_in_order_of_time_and_name_what_the_time_was_owed_to() -> None:
    lines = lines_of(JOB, "root")
    assert [(line.span.span_id, line.depth) for line in lines] == [
        ("root", 0),
        ("turn", 1),
        ("slow", 1),
        ("wait", 2),
        ("work", 2),
        ("gather", 1),
        ("quick", 1),
        ("last", 1),
    ]
    assert owed_text(lines).startswith("queue.wait p 500 ms (50%), process orchestrator 300 ms (30%), process p 200 ms")
    assert [one["critical_us"] is None for one in waterfall_json(lines)].count(True) == 2


def test_the_table_has_a_bar_for_each_span_and_says_what_was_throttled() -> None:
    output = Output()
    console = Console(width=120, record=True, file=StringIO())
    console.print(waterfall_table(lines_of(JOB, "root"), output))
    text = console.export_text()
    assert "500 ms of it throttled" in text
    assert "█" in text
    assert "░" in text
