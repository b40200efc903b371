"""Writes the table of docs/peers.md: what was measured, between two marks in the page."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.figures import Figures
from benchmarks.machine import describe_machine
from benchmarks.page import MOST_COMPANY

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "peers.md"
_BETWEEN_MARKS: Final = re.compile(r"(?<=<!-- measured -->\n).*(?=<!-- /measured -->)", re.DOTALL)
_DISTURBED: Final = ": **disturbed, to be taken again on a quiet machine.**"
_TITLES: Final = {
    "trunkline": "Trunkline",
    "celery": "Celery: chord",
    "dramatiq": "Dramatiq: group",
    "taskiq": "taskiq: gather",
    "dbos": "DBOS: queues",
    "restate": "Restate",
}
_LINES: Final = (
    ("jobs/s", "jobs_per_s", ".0f"),
    ("CPU per job, ms", "cpu_ms_per_job", ".1f"),
    ("… orchestrator", "cpu_ms_per_job_orchestrator", ".1f"),
    ("… tools", "cpu_ms_per_job_worker", ".1f"),
    ("… store", "cpu_ms_per_job_store", ".1f"),
    ("latency alone, ms: median", "latency_ms_p50", ".1f"),
    ("… p95", "latency_ms_p95", ".1f"),
    ("idle CPU, of one processor", "idle_cpu_share_total", ".2%"),
    ("tool process killed: outstanding jobs", "outstanding_process_killed", ".0f"),
    ("… lost", "lost_process_killed", ".0f"),
    ("… ended twice", "ended_twice_process_killed", ".0f"),
    ("… last job after, s", "last_job_s_process_killed", ".1f"),
    ("tool service killed: outstanding jobs", "outstanding_service_killed", ".0f"),
    ("… lost", "lost_service_killed", ".0f"),
    ("… ended twice", "ended_twice_service_killed", ".0f"),
    ("… last job after, s", "last_job_s_service_killed", ".1f"),
)
"""Title, figure, format."""


def write_page(figures: Figures, failed: Mapping[str, str]) -> None:
    """Puts the figures into the page.

    Args:
        figures: Those of ours without a suffix, those of a peer with its name as one.
        failed: By name, why one is not measured or no further; empty if it is.
    """
    page = PAGE.read_text("utf-8")
    PAGE.write_text(_BETWEEN_MARKS.sub(lambda _: _measured(figures, failed), page), "utf-8")


def _measured(figures: Figures, failed: Mapping[str, str]) -> str:
    others = figures["other_cpu_share"].value
    lines = [
        f"`make bench NAME=peers`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {describe_machine()}; others used "
        f"{others:.0%} of the machine meanwhile{_DISTURBED if others > MOST_COMPANY else '.'}",
        "",
        f"| | {' | '.join(_TITLES.values())} |",
        f"|---|{'---:|' * len(_TITLES)}",
    ]
    for title, figure, form in _LINES:
        cells = (_cell(figures, figure if name == "trunkline" else f"{figure}_{name}", form) for name in _TITLES)
        lines.append(f"| {title} | {' | '.join(cells)} |")
    for name, reason in failed.items():
        if reason:
            lines += ["", f"{_TITLES[name]} was not measured, or not to the end:", "", *_quoted(reason)]
    return "\n".join([*lines, ""])


def _cell(figures: Figures, figure: str, form: str) -> str:
    return format(figures[figure].value, form) if figure in figures else "—"


def _quoted(text: str) -> list[str]:
    return [f"    {line}" for line in text.splitlines()]
