"""The reference job fan4: a model turn, four parallel calls, a model turn, the answer; model and tools take no time.

Ours against hand-written Dramatiq actors that do the same, calling the model with the SDK's `create()` (as most do)
and with its lighter `post()` (as ours does). All are started, each with a Redis of its own, and take turns of some
seconds; whoever is not measured is halted. Ratios are taken within a round, since the machine's speed may change from
one to another. CPU time is that of the contender's processes and its Redis.

`redis_calls_per_job` counts the commands that reach Redis under load for the whole of a job, its submit included and
the reading of its answer left out: everything our processes send is EVALSHA or BLMOVE, and no script can call these
two, so `INFO commandstats` tells them from what scripts do inside the server.
"""

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import redis
from rich.console import Console

from benchmarks.contenders.bare_contender import bare_contender
from benchmarks.contenders.contender import ORCHESTRATOR, WORKER, Contender, Running
from benchmarks.contenders.trunkline_contender import trunkline_contender
from benchmarks.figures import Figure, Figures, median_figure, percentile
from benchmarks.load import ClosedLoop, at_a_rate, one_at_a_time
from benchmarks.model_server import ModelServer

OUTSTANDING: Final = 32
WARM_UP_S: Final = 2.0
RESUME_S: Final = 0.5
SATURATED_S: Final = 3.0
ALONE_JOBS: Final = 50
RATE_PER_S: Final = 20.0
RATE_S: Final = 5.0
SETTLE_S: Final = 0.5
IDLE_S: Final = 3.0

_OURS, _CREATE, _POST = "ours", "bare", "bare_post"
_CONTENDERS: Final[Mapping[str, Contender]] = {
    _OURS: trunkline_contender,
    _CREATE: partial(bare_contender, model_call="create"),
    _POST: partial(bare_contender, model_call="post"),
}
#: What a worker process must not have imported.
_FOREIGN_TO_WORKERS: Final = ("openai", "orchestrator", "telemetry", "httpx2")


@dataclass(slots=True)
class Measured:
    """What one contender did in one round."""

    jobs_per_s: float
    cpu_ms_per_job: Mapping[str, float]
    """By process."""
    redis_calls_per_job: float
    alone_ms: list[float] = field(default_factory=list)
    at_rate_ms: list[float] = field(default_factory=list)
    idle_cpu_share: Mapping[str, float] = field(default_factory=dict)
    """By process, of one processor."""
    rss_mib: Mapping[str, float] = field(default_factory=dict)

    @property
    def cpu_ms(self) -> float:
        """Per job, of all processes."""
        return sum(self.cpu_ms_per_job.values())


def run(*, rounds: int) -> Figures:
    """Measures and makes the figures."""
    console = Console(stderr=True)
    measured: dict[str, list[Measured]] = {name: [] for name in _CONTENDERS}
    with tempfile.TemporaryDirectory(prefix="fan4-") as folder, ModelServer() as model:
        check_imports_of_worker(model.base_url, Path(folder) / "imports")
        with ExitStack() as stack:
            contenders: dict[str, Running] = {}
            for name, contender in _CONTENDERS.items():
                contenders[name] = stack.enter_context(contender(model.base_url, Path(folder) / name))
                warm_up(contenders[name])
                contenders[name].processes.pause()
            for number in range(rounds):
                for name, running in contenders.items():
                    running.processes.resume()
                    result = measure(running, briefly=name == _POST)
                    running.processes.pause()
                    measured[name].append(result)
                    said = f"{result.jobs_per_s:.0f} jobs/s, {result.cpu_ms:.2f} ms CPU a job"
                    console.print(f"round {number + 1}/{rounds} {name}: {said}")
    return figures_of(measured)


def warm_up(running: Running) -> None:
    """Has a contender open its connections and fill its caches."""
    loop = ClosedLoop(running.client, outstanding=OUTSTANDING)
    loop.run(WARM_UP_S)
    loop.drain()


def measure(running: Running, *, briefly: bool) -> Measured:
    """One contender in one round. `briefly` measures saturation only."""
    loop = ClosedLoop(running.client, outstanding=OUTSTANDING)
    loop.run(RESUME_S)
    loop.drain()
    idle: dict[str, float] = {}
    rss: dict[str, float] = {}
    alone: list[float] = []
    at_rate: list[float] = []
    if not briefly:
        time.sleep(SETTLE_S)
        before, began = running.processes.cpu_s(), time.perf_counter()
        time.sleep(IDLE_S)
        took_s = time.perf_counter() - began
        idle = {name: (used - before[name]) / took_s for name, used in running.processes.cpu_s().items()}
        rss = {name: running.processes.rss_mib(name) for name in (ORCHESTRATOR, WORKER)}
        alone = one_at_a_time(running.client, jobs=ALONE_JOBS)
        at_rate = at_a_rate(running.client, per_s=RATE_PER_S, duration_s=RATE_S)
    loop.run(RESUME_S)
    calls_before = _calls(running.redis)
    before, began = running.processes.cpu_s(), time.perf_counter()
    jobs = loop.run(SATURATED_S)
    took_s = time.perf_counter() - began
    cpu_ms = {name: (used - before[name]) * 1000 / jobs for name, used in running.processes.cpu_s().items()}
    calls = _calls(running.redis) - calls_before
    loop.drain()
    return Measured(
        jobs_per_s=jobs / took_s,
        cpu_ms_per_job=cpu_ms,
        redis_calls_per_job=calls / jobs,
        alone_ms=alone,
        at_rate_ms=at_rate,
        idle_cpu_share=idle,
        rss_mib=rss,
    )


def _calls(connection: redis.Redis) -> int:
    statistics: Any = connection.info("commandstats")
    return sum(int(statistics.get(f"cmdstat_{command}", {}).get("calls", 0)) for command in ("evalsha", "blmove"))


def check_imports_of_worker(model_url: str, folder: Path) -> None:
    """Tests, in a worker that has done a job, that a worker imports neither the openai SDK nor the orchestrator.

    Raises:
        AssertionError: It does.
    """
    with trunkline_contender(model_url, folder, worker_options=["-X", "importtime"]) as running:
        log = running.processes.log(WORKER)
    imported = {line.rpartition("|")[2].strip() for line in log.read_text("utf-8").splitlines() if "|" in line}
    assert "workers.app" in imported, "the worker did not say what it imports"
    foreign = sorted(name for name in imported if name.partition(".")[0] in _FOREIGN_TO_WORKERS)
    assert not foreign, f"the worker imports {', '.join(foreign)}"


def figures_of(measured: Mapping[str, list[Measured]]) -> Figures:
    """Medians over the rounds, and the ratios within them."""
    ours, bare, post = measured[_OURS], measured[_CREATE], measured[_POST]
    figures: dict[str, Figure] = {}
    for suffix, rounds in (("", ours), ("_bare", bare), ("_bare_post", post)):
        figures[f"jobs_per_s{suffix}"] = median_figure([one.jobs_per_s for one in rounds], "jobs/s", "higher")
        figures[f"cpu_ms_per_job{suffix}"] = median_figure([one.cpu_ms for one in rounds], "ms", "lower")
    for suffix, rounds in (("bare", bare), ("bare_post", post)):
        pairs = list(zip(ours, rounds, strict=True))
        throughput = [one.jobs_per_s / other.jobs_per_s for one, other in pairs]
        cpu = [one.cpu_ms / other.cpu_ms for one, other in pairs]
        figures[f"throughput_ratio_to_{suffix}"] = median_figure(throughput, "ratio", "higher")
        figures[f"cpu_ratio_to_{suffix}"] = median_figure(cpu, "ratio", "lower")
    for process in ours[0].cpu_ms_per_job:
        used = [one.cpu_ms_per_job[process] for one in ours]
        figures[f"cpu_ms_per_job_{process}"] = median_figure(used, "ms", "lower")
    figures |= _latency_figures(ours, "") | _latency_figures(bare, "_bare")
    ratios = [percentile(a.alone_ms, 50) / percentile(b.alone_ms, 50) for a, b in zip(ours, bare, strict=True)]
    figures["latency_p50_ratio_to_bare"] = median_figure(ratios, "ratio", "lower")
    calls = [one.redis_calls_per_job for one in ours]
    figures["redis_calls_per_job"] = median_figure(calls, "calls", "lower")
    for process in (WORKER, ORCHESTRATOR):
        rss = [one.rss_mib[process] for one in ours]
        figures[f"rss_mib_{process}"] = median_figure(rss, "MiB", "lower")
    idlest = [max(one.idle_cpu_share.values()) for one in ours]
    figures["idle_cpu_share"] = median_figure(idlest, "of a processor, by the busiest process", "lower")
    for suffix, rounds in (("", ours), ("_bare", bare)):
        total = [sum(one.idle_cpu_share.values()) for one in rounds]
        figures[f"idle_cpu_share_total{suffix}"] = median_figure(total, "of a processor, by all processes", "lower")
    return figures


def _latency_figures(rounds: list[Measured], suffix: str) -> dict[str, Figure]:
    def figure(percent: int, *, alone: bool) -> Figure:
        latencies = [one.alone_ms if alone else one.at_rate_ms for one in rounds]
        return median_figure([percentile(round_, percent) for round_ in latencies], "ms", "lower")

    return {
        f"latency_ms_p50{suffix}": figure(50, alone=True),
        f"latency_ms_p95{suffix}": figure(95, alone=True),
        f"latency_20_per_s_ms_p50{suffix}": figure(50, alone=False),
        f"latency_20_per_s_ms_p99{suffix}": figure(99, alone=False),
    }
