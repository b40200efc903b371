"""Tables of queues, and the same for programs."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from rich.table import Table
from rich.text import Text

from messaging.limits import QueueLimits
from messaging.queue_states import QueueState
from trunkline.command_line.output import Output
from trunkline.command_line.rendering import duration_text
from trunkline.command_line.worker_process import WorkerProcess

__all__ = ["limits_text", "queue_document", "queues_table"]


def queues_table(states: Sequence[QueueState], living: Sequence[WorkerProcess], output: Output) -> Table:
    """A line for each queue."""
    names = ("queue", ">waiting", ">runnable", ">throttled", ">in flight", ">scheduled", ">dead", ">oldest", ">workers")
    table = output.table(*names, ">rate used", "limits")
    # A name that is cut is of no use; where there is little room, the limits take more lines.
    table.columns[0].min_width = max((len(state.name) for state in states), default=0)
    for state in states:
        style = "yellow" if state.limits.paused else "red" if state.dead else ""
        table.add_row(
            Text(state.name, style),
            str(state.waiting),
            str(state.runnable),
            _or_dash(state.throttled),
            _or_dash(state.in_flight),
            _or_dash(state.scheduled),
            Text(_or_dash(state.dead), "red" if state.dead else ""),
            duration_text(None if state.oldest is None else state.oldest / timedelta(microseconds=1)),
            str(_workers(state, living)),
            "–" if state.rate_used is None else f"{state.rate_used:.0%}",
            Text(limits_text(state.limits), "dim"),
        )
    return table


def queue_document(state: QueueState, living: Sequence[WorkerProcess]) -> dict[str, Any]:
    """A queue for programs. Durations are seconds, rates are starts a second."""
    limits = state.limits
    return {
        "queue": state.name,
        "waiting": state.waiting,
        "runnable": state.runnable,
        "throttled": state.throttled,
        "in_flight": state.in_flight,
        "scheduled": state.scheduled,
        "dead": state.dead,
        "oldest_s": None if state.oldest is None else state.oldest.total_seconds(),
        "workers": _workers(state, living),
        "starts_per_s": state.starts_per_s,
        "rate_used": state.rate_used,
        "limits": {
            "rate_per_s": None if limits.rate is None else limits.rate.per_s,
            "burst": None if limits.rate is None else limits.burst,
            "max_in_flight": limits.max_in_flight,
            "paused": limits.paused,
            "fair": limits.fair,
        },
    }


def limits_text(limits: QueueLimits) -> str:
    """Limits in a few words; empty where there are none."""
    parts = ["paused"] if limits.paused else []
    if limits.rate is not None:
        parts.append(f"{limits.rate}, burst {limits.burst}")
    if limits.max_in_flight is not None:
        parts.append(f"at most {limits.max_in_flight} in flight")
    if limits.fair:
        parts.append("fair")
    return "; ".join(parts)


def _workers(state: QueueState, living: Sequence[WorkerProcess]) -> int:
    return sum(state.name in worker.queues for worker in living)


def _or_dash(number: int) -> str:
    return str(number) if number else "–"
