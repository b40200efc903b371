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
from benchmarks.load import JobFailed, at_a_rate
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
_PATIENCE_S: Final = 60.0

_CONTENDERS: Final[Mapping[str, Contender]] = {
    "": partial(trunkline_contender, turns_at_once=ROOM),
    "_bare": partial(bare_contender, model_call="create", orchestrator_threads=ROOM, poll_ms=DEFAULT_POLL_MS),
}
"""By the suffix of their figures."""


@dataclass(frozen=True, slots=True)
class Held:
    """What an orchestrator is like with so many calls in flight."""

    in_flight: int
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
    """Brings the calls into flight and measures.

    Raises:
        JobFailed: They did not all get there, or did not stay.
    """
    at_a_rate(running.client, per_s=FAST_PER_S, duration_s=_SETTLE_S)
    fast_alone_ms = at_a_rate(running.client, per_s=FAST_PER_S, duration_s=FAST_S)
    slow = {running.client.submit(slow=True) for _ in range(IN_FLIGHT)}
    give_up_at = time.monotonic() + _PATIENCE_S
    while model.slow_calls_in_flight() < IN_FLIGHT:
        if time.monotonic() > give_up_at:
            raise JobFailed(f"only {model.slow_calls_in_flight()} calls in flight\n{running.processes.logs()}")
        time.sleep(0.05)
    time.sleep(_SETTLE_S)
    with Company(running.processes, others=[model.pid]) as company:
        before, began = running.processes.cpu_s()[ORCHESTRATOR], time.perf_counter()
        time.sleep(QUIET_S)
        cpu_share = (running.processes.cpu_s()[ORCHESTRATOR] - before) / (time.perf_counter() - began)
        fast_beside_ms = at_a_rate(running.client, per_s=FAST_PER_S, duration_s=FAST_S)
        rss_mib = running.processes.rss_mib(ORCHESTRATOR)
    in_flight = model.slow_calls_in_flight()
    if in_flight < IN_FLIGHT:
        raise JobFailed(f"{IN_FLIGHT - in_flight} slow calls ended before the end; is the machine busy?")
    while slow:
        ended = running.client.ended(_PATIENCE_S)
        if not ended:
            raise JobFailed(f"{len(slow)} slow jobs never ended\n{running.processes.logs()}")
        slow.difference_update(ended)
    return Held(in_flight, rss_mib, cpu_share, fast_alone_ms, fast_beside_ms, company.share)


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
