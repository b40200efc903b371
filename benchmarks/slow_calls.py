"""Five hundred slow model calls in flight in one orchestrator process: its memory, its CPU time, and a fast job's wait.

While they are in flight, first nothing else happens (the CPU time is read), then fast jobs come at a fixed rate: whole
fan4 jobs, through the same orchestrator and one worker. Before, the same fast jobs run with nothing in flight. Bare
Dramatiq does the same with a thread for each call.
"""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.contenders.bare_contender import bare_contender
from benchmarks.contenders.contender import ORCHESTRATOR, Contender, Running
from benchmarks.contenders.trunkline_contender import trunkline_contender
from benchmarks.figures import Figure, Figures, median_figure, percentile
from benchmarks.load import at_a_rate
from benchmarks.measured_processes import Company
from benchmarks.model_server import ModelServer

ROUNDS: Final = 2
IN_FLIGHT: Final = 500
ROOM: Final = 600
"""Turns, or threads, that the orchestrator may have in flight."""
FAST_PER_S: Final = 10.0
FAST_S: Final = 5.0
QUIET_S: Final = 5.0
DEFAULT_POLL_MS: Final = 1000
"""Dramatiq's own: six hundred threads that wake up every ten milliseconds leave no time for anything else."""
_SETTLE_S: Final = 1.0
_NO_MORE_S: Final = 5.0

_CONTENDERS: Final[Mapping[str, Contender]] = {
    "": partial(trunkline_contender, turns_at_once=ROOM),
    "_bare": partial(bare_contender, model_call="create", orchestrator_threads=ROOM, poll_ms=DEFAULT_POLL_MS),
}
"""By the suffix of their figures."""


@dataclass(frozen=True, slots=True)
class Held:
    """What an orchestrator is like with so many calls in flight."""

    in_flight: int
    """All the time."""
    rss_mib: float
    cpu_share: float
    """Of one processor."""
    fast_alone_ms: list[float]
    fast_beside_ms: list[float]
    other_cpu_share: float


def run(*, rounds: int) -> Figures:
    """Measures and makes the figures."""
    console = Console(stderr=True)
    measured: dict[str, list[Held]] = {suffix: [] for suffix in _CONTENDERS}
    with tempfile.TemporaryDirectory(prefix="slow-") as folder, ModelServer() as model:
        for number in range(rounds):
            for suffix, contender in _CONTENDERS.items():
                with contender(model.base_url, Path(folder) / f"round{number}{suffix}") as running:
                    held = hold(running, model)
                measured[suffix].append(held)
                console.print(f"round {number + 1}/{rounds} {suffix or 'ours'}: {_in_short(held)}")
    return figures_of(measured)


def _in_short(held: Held) -> str:
    alone, beside = (percentile(latencies, 95) for latencies in (held.fast_alone_ms, held.fast_beside_ms))
    return (
        f"{held.in_flight} in flight, {held.rss_mib:.0f} MiB, {held.cpu_share:.1%} CPU, "
        f"fast p95 {alone:.1f} -> {beside:.1f} ms (others use {held.other_cpu_share:.0%} of the machine)"
    )


def hold(running: Running, model: ModelServer) -> Held:
    """Brings the calls into flight, as many as it takes, and measures."""
    while model.slow_calls_in_flight():  # of whoever was measured before
        time.sleep(_SETTLE_S)
    at_a_rate(running.client, per_s=FAST_PER_S, duration_s=_SETTLE_S)
    fast_alone_ms = at_a_rate(running.client, per_s=FAST_PER_S, duration_s=FAST_S)
    for _ in range(IN_FLIGHT):
        running.client.submit(slow=True)
    reached = _reached(model)
    time.sleep(_SETTLE_S)
    with Company(running.processes, others=[model.pid]) as company:
        before, began = running.processes.cpu_s()[ORCHESTRATOR], time.perf_counter()
        time.sleep(QUIET_S)
        cpu_share = (running.processes.cpu_s()[ORCHESTRATOR] - before) / (time.perf_counter() - began)
        fast_beside_ms = at_a_rate(running.client, per_s=FAST_PER_S, duration_s=FAST_S)
        rss_mib = running.processes.rss_mib(ORCHESTRATOR)
    in_flight = min(reached, model.slow_calls_in_flight())
    return Held(in_flight, rss_mib, cpu_share, fast_alone_ms, fast_beside_ms, company.share)


def _reached(model: ModelServer) -> int:
    """Waits until all are in flight, or until there have not been more for a while."""
    most, grown_at = 0, time.monotonic()
    while most < IN_FLIGHT and time.monotonic() - grown_at < _NO_MORE_S:
        time.sleep(0.05)
        if (now := model.slow_calls_in_flight()) > most:
            most, grown_at = now, time.monotonic()
    return most


def figures_of(measured: Mapping[str, list[Held]]) -> Figures:
    """Medians over the rounds."""
    figures: dict[str, Figure] = {}
    for suffix, rounds in measured.items():
        alone = [percentile(one.fast_alone_ms, 95) for one in rounds]
        beside = [percentile(one.fast_beside_ms, 95) for one in rounds]
        ratios = [with_calls / without for without, with_calls in zip(alone, beside, strict=True)]
        figures |= {
            f"in_flight{suffix}": median_figure([one.in_flight for one in rounds], "calls", "higher"),
            f"rss_mib{suffix}": median_figure([one.rss_mib for one in rounds], "MiB", "lower"),
            f"cpu_share{suffix}": median_figure([one.cpu_share for one in rounds], "processors", "lower"),
            f"fast_job_latency_ms_p95{suffix}": median_figure(beside, "ms", "lower"),
            f"fast_job_latency_ms_p95_alone{suffix}": median_figure(alone, "ms", "lower"),
            f"fast_job_latency_p95_ratio{suffix}": median_figure(ratios, "ratio", "lower"),
        }
    others = [one.other_cpu_share for rounds in measured.values() for one in rounds]
    figures["other_cpu_share"] = median_figure(others, "of all processors", "lower")
    return figures
