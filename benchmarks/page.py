"""`python -m benchmarks.page`: writes the table of docs/benchmarks.md anew, from the results that there are.

A figure without a target is there to be compared. What was taken while others used the machine is marked, and so is
what misses its target.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import RESULTS

_PAGE: Final = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_BEGIN, _END = "<!-- figures: python -m benchmarks.page -->\n", "<!-- end of figures -->\n"
MOST_COMPANY: Final = 0.1


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    figure: str
    what: str
    target: float | None = None
    stock: str = ""
    """The figure of the peer that it is compared with."""
    higher: bool = False
    """Whether the target is the least that is wanted, not the most."""


_LAUNCHER: Final = "a child of our launcher is killed: its work starts again after, p99"
ROWS: Final[dict[str, Sequence[Row]]] = {
    "pickup": (
        Row("pickup_ms_p50", "from enqueue to start on an idle system, median", 3, "pickup_ms_p50_stock"),
        Row("pickup_ms_p95", "the same, p95", None, "pickup_ms_p95_stock"),
        Row("pickup_ms_max", "the same, longest", None, "pickup_ms_max_stock"),
        Row("pickup_ms_p50_threads", "the same, our broker under the `dramatiq` command", 3, "pickup_ms_p50_stock"),
        Row("pickup_after_30_s_ms_p50", "after 30 s of quiet, median", 3, "pickup_after_30_s_ms_p50_stock"),
        Row("pickup_after_30_s_ms_max", "after 30 s of quiet, longest", None, "pickup_after_30_s_ms_max_stock"),
        Row("idle_cpu_share", "of a processor, used by an idle worker process", 0.005, "idle_cpu_share_stock"),
    ),
    "empty_messages": (
        Row("messages_per_s", "empty messages a second, one process", None, "messages_per_s_stock"),
        Row("throughput_ratio_to_stock", "as a ratio", 1, higher=True),
        Row("throughput_ratio_to_stock_2_processes", "the same, two processes", 1, higher=True),
        Row(
            "throughput_ratio_to_stock_threads", "our broker under the `dramatiq` command, one process", 1, higher=True
        ),
        Row("throughput_ratio_to_stock_threads_2_processes", "the same, two processes", 1, higher=True),
        Row("cpu_us_per_message", "CPU of worker and Redis a message, µs", None, "cpu_us_per_message_stock"),
    ),
    "limits": (
        Row("worst_window_excess", "starts beyond rate·W + burst in the worst window, as handed out", 0),
        Row(
            "worst_window_excess_at_start", "the same, when the work begins", None, "worst_window_excess_at_start_stock"
        ),
        Row(
            "rate_used",
            "share of the rate used under backlog; worst of 2, 50, 500/s, 1 to 8 processes",
            0.98,
            "rate_used_stock",
            higher=True,
        ),
        Row("fetches_per_start", "fetches a start, 8 processes, worst of 2, 50, 500/s", 2),
        Row("retries_used", "retries a message used up by the limit", 0, "retries_used_stock"),
        Row("threads_held", "slots held by messages that have not started, 50/s", None, "threads_held_stock"),
        Row("spacing_error_ms_p95_50_per_s_8_processes", "off its place at 50/s, 8 processes, p95, ms"),
        Row(
            "unlimited_p95_ratio",
            "an unlimited queue's p95 beside a limited one, against alone",
            None,
            "unlimited_p95_ratio_stock",
        ),
        Row(
            "fairness_jain",
            "Jain's index of ten tenants, one with 100 times the backlog",
            0.99,
            "fairness_jain_stock",
            higher=True,
        ),
    ),
    "recovery": (
        Row("recovery_s_p50", "kill -9, idle system: the work starts again after, median"),
        Row("recovery_s_p99", "the same, p99", 6),
        Row("recovery_busy_s_p99", "the same, busy system", 6),
        Row("child_killed_recovery_s_p99", _LAUNCHER, 1),
        Row("recovered_share_stock", "stock: share of six messages that came back at all ..."),
        Row("waited_s_stock", "... within so many seconds"),
    ),
    "slow_calls": (
        Row("in_flight", "slow model calls in flight in one orchestrator process", 500, "in_flight_bare", higher=True),
        Row("rss_mib", "its memory, MiB", 400, "rss_mib_bare"),
        Row("cpu_share", "of a processor, while nothing else happens", None, "cpu_share_bare"),
        Row("fast_job_latency_ms_p95", "a fan4 job beside them, p95, ms", None, "fast_job_latency_ms_p95_bare"),
        Row("fast_job_latency_ms_p95_alone", "the same without them", None, "fast_job_latency_ms_p95_alone_bare"),
    ),
    "backlog": (
        Row("messages_per_s", "messages a second from a backlog of 200,000", None, "messages_per_s_stock"),
        Row("throughput_ratio_to_empty", "against a small backlog", None, "throughput_ratio_to_empty_stock"),
        Row(
            "redis_bytes_per_message",
            "Redis's memory for a message that waits, bytes",
            None,
            "redis_bytes_per_message_stock",
        ),
    ),
    "capacity": (
        Row("redis_cpu_ms_per_fan4", "CPU of Redis for a fan4 job, ms"),
        Row("redis_cpu_ms_per_call", "for each further call, ms"),
        Row("redis_cpu_ms_per_job_without_calls", "for a job without calls, ms"),
        Row("redis_ceiling_fan4_per_s", "fan4 jobs a second that fill the processor of one Redis (arithmetic)"),
        Row("redis_bytes_per_ended_fan4", "Redis's memory of an ended fan4 job until it expires, bytes"),
        Row("redis_bytes_per_ended_call", "of which a call, bytes"),
        Row("redis_bytes_per_active_job", "of a job whose first model call is in flight, bytes"),
        Row("redis_file_bytes_per_fan4", "appended to Redis's file by a fan4 job, bytes"),
        Row("redis_network_bytes_per_fan4", "into and out of Redis for a fan4 job, bytes"),
        Row("orchestrator_cpu_ms_per_fan4", "CPU of orchestrators for a fan4 job, ms"),
        Row("worker_cpu_ms_per_fan4", "CPU of workers for a fan4 job, ms"),
        Row("jobs_per_s_fan4", "fan4 jobs a second, an orchestrator and a worker"),
        Row("redis_cpu_share_fan4", "of a processor, used by Redis meanwhile"),
        Row("throughput_ratio_fan4_2_workers", "throughput with two workers, against one"),
        Row("throughput_ratio_fan4_2_and_2", "with two of each, on as many processors as the machine has"),
    ),
}


def main() -> None:
    """Writes the table between its two marks."""
    before, _, rest = _PAGE.read_text("utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    _PAGE.write_text(before + _BEGIN + "\n".join(_sections()) + "\n" + _END + after, "utf-8")


def _sections() -> list[str]:
    lines = []
    for name, rows in ROWS.items():
        file = RESULTS / f"{name}.json"
        lines += [f"\n### `make bench NAME={name}`\n"]
        result = json.loads(file.read_text("utf-8")) if file.exists() else None
        lines += [taken(result) if result else "Not taken yet on a quiet machine.", ""]
        lines += ["| figure | | ours | stock | target |", "|---|---|---|---|---|"]
        lines += [_line(row, result["figures"] if result else {}) for row in rows]
    return lines


def taken(result: dict[str, Any]) -> str:
    """When and where, and whether others used the machine meanwhile."""
    share = result["figures"]["other_cpu_share"]["value"]
    said = f"Taken {result['taken_at'][:10]} on {result['machine']}; others used {share:.0%} of it."
    return said + (" **Disturbed: times are too long.**" if share > MOST_COMPANY else "")


def _line(row: Row, figures: dict[str, Any]) -> str:
    values = [format(figures[name]["value"], "g") if name in figures else "" for name in (row.figure, row.stock)]
    missed = row.figure in figures and not is_met(row, figures[row.figure]["value"])
    target = "" if row.target is None else f"{'at least' if row.higher else 'at most'} {row.target:g}"
    return f"| `{row.figure}` | {row.what} | {' | '.join(values)} | {target}{', **missed**' if missed else ''} |"


def is_met(row: Row, value: float) -> bool:
    """Whether a figure reaches its target, if it has one."""
    if row.target is None:
        return True
    return value >= row.target if row.higher else value <= row.target


if __name__ == "__main__":
    main()
