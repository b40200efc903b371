"""What a job and a call take of Redis, CPU time and memory, and how throughput grows with processes.

Jobs without calls, with four (fan4) and with sixteen run on an orchestrator and a worker; fan4 also on more of them.
All deployments are started, each with a Redis of its own, and take turns; whoever is not measured is halted. What one
call takes is the difference between sixteen and four of them, by twelve.

`redis_ceiling_fan4_per_s` is arithmetic: a Redis runs scripts on one processor, so it ends where that is full. It is
not reached here, since on the same machine the processes are full before.
"""

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.contenders.contender import ORCHESTRATOR, REDIS, WORKER, Contender, Running
from benchmarks.contenders.trunkline_contender import trunkline_contender
from benchmarks.fan4 import OUTSTANDING, RESUME_S, warm_up
from benchmarks.figures import Figure, Figures, median_figure
from benchmarks.load import ClosedLoop, JobFailed
from benchmarks.measured_processes import Company
from benchmarks.model_server import ModelServer

ROUNDS: Final = 3
MEASURED_S: Final = 3.0
ACTIVE_JOBS: Final = 400
_PATIENCE_S: Final = 60.0

_NO_CALLS, _FAN4, _SIXTEEN = "0_calls", "fan4", "16_calls"
_TWO_WORKERS, _TWO_OF_EACH = "fan4_2_workers", "fan4_2_and_2"
_DEPLOYMENTS: Final[Mapping[str, Contender]] = {
    _NO_CALLS: partial(trunkline_contender, calls=0),
    _FAN4: trunkline_contender,
    _SIXTEEN: partial(trunkline_contender, calls=16),
    _TWO_WORKERS: partial(trunkline_contender, workers=2),
    _TWO_OF_EACH: partial(trunkline_contender, orchestrators=2, workers=2),
}


@dataclass(frozen=True, slots=True)
class Taken:
    """What jobs of a kind took, each."""

    jobs_per_s: float
    redis_ms: float
    orchestrators_ms: float
    workers_ms: float
    redis_cpu_share: float
    """Of one processor, at this throughput."""
    kept_bytes: float
    """Of Redis's memory, by a job that has ended, until it expires."""
    file_bytes: float
    """Appended to its file."""
    network_bytes: float
    """Into and out of Redis."""
    other_cpu_share: float


def run(*, rounds: int) -> Figures:
    """Measures and makes the figures."""
    console = Console(stderr=True)
    taken: dict[str, list[Taken]] = {name: [] for name in _DEPLOYMENTS}
    with tempfile.TemporaryDirectory(prefix="capacity-") as folder, ModelServer() as model, ExitStack() as stack:
        running: dict[str, Running] = {}
        for name, deployment in _DEPLOYMENTS.items():
            running[name] = stack.enter_context(deployment(model.base_url, Path(folder) / name))
            warm_up(running[name])
            running[name].processes.pause()
        for number in range(rounds):
            for name, one in running.items():
                one.processes.resume()
                taken[name].append(measure(one, model_pid=model.pid))
                one.processes.pause()
                console.print(f"round {number + 1}/{rounds} {name}: {taken[name][-1]}")
        running[_FAN4].processes.resume()
        active_bytes = active_job_bytes(running[_FAN4], model)
    return figures_of(taken, active_bytes)


def measure(running: Running, *, model_pid: int) -> Taken:
    """Has a deployment do as many jobs as it can."""
    loop = ClosedLoop(running.client, outstanding=OUTSTANDING)
    loop.run(RESUME_S)
    loop.drain()
    held = _redis(running)
    with Company(running.processes, others=[model_pid]) as company:
        before, began = running.processes.cpu_s(), time.perf_counter()
        jobs = loop.run(MEASURED_S)
        took_s = time.perf_counter() - began
        used_ms = {name: (used - before[name]) * 1000 for name, used in running.processes.cpu_s().items()}
    loop.drain()
    all_jobs = jobs + OUTSTANDING  # those that were open then are in what Redis holds
    grown = {name: value - held[name] for name, value in _redis(running).items()}

    def of(role: str) -> float:
        return sum(used for name, used in used_ms.items() if name.partition(" ")[0] == role)

    return Taken(
        jobs_per_s=jobs / took_s,
        redis_ms=of(REDIS) / jobs,
        orchestrators_ms=of(ORCHESTRATOR) / jobs,
        workers_ms=of(WORKER) / jobs,
        redis_cpu_share=of(REDIS) / 1000 / took_s,
        kept_bytes=grown["memory"] / all_jobs,
        file_bytes=grown["file"] / all_jobs,
        network_bytes=grown["network"] / all_jobs,
        other_cpu_share=company.share,
    )


def active_job_bytes(running: Running, model: ModelServer) -> float:
    """What a job takes of Redis's memory while its first model call is in flight."""
    before = _redis(running)["memory"]
    open_jobs = {running.client.submit(slow=True) for _ in range(ACTIVE_JOBS)}
    give_up_at = time.monotonic() + _PATIENCE_S
    while model.slow_calls_in_flight() < ACTIVE_JOBS:
        if time.monotonic() > give_up_at:
            raise JobFailed(f"only {model.slow_calls_in_flight()} calls in flight\n{running.processes.logs()}")
        time.sleep(0.05)
    taken = (_redis(running)["memory"] - before) / ACTIVE_JOBS
    while open_jobs:
        ended = running.client.ended(_PATIENCE_S)
        if not ended:
            raise JobFailed(f"{len(open_jobs)} slow jobs never ended\n{running.processes.logs()}")
        open_jobs.difference_update(ended)
    return taken


def _redis(running: Running) -> dict[str, int]:
    info: Any = {
        **running.redis.info("memory"),
        **running.redis.info("stats"),
        **running.redis.info("persistence"),
    }
    return {
        "memory": info["used_memory_dataset"],
        "file": info["aof_current_size"],
        "network": info["total_net_input_bytes"] + info["total_net_output_bytes"],
    }


def figures_of(taken: Mapping[str, list[Taken]], active_bytes: float) -> Figures:
    """Medians over the rounds; differences and ratios within them."""
    fan4, sixteen, none = taken[_FAN4], taken[_SIXTEEN], taken[_NO_CALLS]
    calls = list(zip(fan4, sixteen, strict=True))
    figures: dict[str, Figure] = {
        "redis_cpu_ms_per_fan4": median_figure([one.redis_ms for one in fan4], "ms", "lower"),
        "redis_cpu_ms_per_call": median_figure([(b.redis_ms - a.redis_ms) / 12 for a, b in calls], "ms", "lower"),
        "redis_cpu_ms_per_job_without_calls": median_figure([one.redis_ms for one in none], "ms", "lower"),
        "redis_ceiling_fan4_per_s": median_figure([1000 / one.redis_ms for one in fan4], "jobs/s", "higher"),
        "redis_bytes_per_ended_fan4": median_figure([one.kept_bytes for one in fan4], "bytes", "lower"),
        "redis_bytes_per_ended_call": median_figure(
            [(b.kept_bytes - a.kept_bytes) / 12 for a, b in calls], "bytes", "lower"
        ),
        "redis_bytes_per_active_job": median_figure([active_bytes], "bytes", "lower"),
        "redis_file_bytes_per_fan4": median_figure([one.file_bytes for one in fan4], "bytes", "lower"),
        "redis_network_bytes_per_fan4": median_figure([one.network_bytes for one in fan4], "bytes", "lower"),
        "orchestrator_cpu_ms_per_fan4": median_figure([one.orchestrators_ms for one in fan4], "ms", "lower"),
        "worker_cpu_ms_per_fan4": median_figure([one.workers_ms for one in fan4], "ms", "lower"),
    }
    for name, rounds in taken.items():
        figures[f"jobs_per_s_{name}"] = median_figure([one.jobs_per_s for one in rounds], "jobs/s", "higher")
        figures[f"redis_cpu_share_{name}"] = median_figure(
            [one.redis_cpu_share for one in rounds], "processors", "lower"
        )
    for name in (_TWO_WORKERS, _TWO_OF_EACH):
        ratios = [more.jobs_per_s / one.jobs_per_s for one, more in zip(fan4, taken[name], strict=True)]
        figures[f"throughput_ratio_{name}"] = median_figure(ratios, "ratio", "higher")
    # Of the most disturbed one: a ratio of a quiet round to a disturbed one says nothing.
    others = max(one.other_cpu_share for rounds in taken.values() for one in rounds)
    figures["other_cpu_share"] = Figure(float(f"{others:.4g}"), "of all processors", "lower")
    return figures
