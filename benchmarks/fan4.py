"""The reference job fan4: a model turn, four parallel calls, a model turn, the answer; model and tools take no time.

Ours against hand-written Dramatiq actors that do the same, calling the model with the SDK's `create()` (as most do)
and with its lighter `post()` (as ours does). All are started, each with a Redis of its own, and take turns of some
seconds; whoever is not measured is halted. Ratios are taken within a round, since the machine's speed may change from
one to another. CPU time is that of the contender's processes and its Redis.

`redis_calls_per_job` counts the commands that reach Redis under load for the whole of a job, its submit included and
the reading of its answer left out: everything our processes send is EVALSHA or BLMOVE, and no script can call these
two, so `INFO commandstats` tells them from what scripts do inside the server.

`other_cpu_share` is what the rest of the machine did meanwhile. It should be next to nothing: with company, CPU time
grows, and whoever has more threads gets more of the processors.
"""

import os
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
from benchmarks.machine import busy_s
from benchmarks.measured_processes import cpu_s
from benchmarks.model_server import ModelServer

ROUNDS: Final = 5
OUTSTANDING: Final = 32
WARM_UP_S: Final = 2.0
RESUME_S: Final = 0.5
SATURATED_S: Final = 3.0
ALONE_JOBS: Final = 50
RATE_PER_S: Final = 20.0
RATE_S: Final = 5.0
SETTLE_S: Final = 0.5
IDLE_S: Final = 3.0
MOST_COMPANY: Final = 0.1

_OURS, _CREATE, _POST = "ours", "bare", "bare_post"
_CONTENDERS: Final[Mapping[str, Contender]] = {
    _OURS: trunkline_contender,
    _CREATE: partial(bare_contender, model_call="create"),
    _POST: partial(bare_contender, model_call="post"),
}
#: What a worker process must not have imported.
_FOREIGN_TO_WORKERS: Final = ("openai", "orchestrator", "telemetry", "httpx2")


@dataclass(frozen=True, slots=True)
class Saturated:
    """What a contender does with as many jobs as it can take."""

    jobs_per_s: float
    cpu_ms_per_job: Mapping[str, float]
    """By process."""
    redis_calls_per_job: float
    model_cpu_ms: float
    """Per job, of the model server: the same work for every contender, so it tells how fast the machine was."""
    other_cpu_share: float
    """Of all processors, used by neither the contender nor the benchmark."""

    @property
    def cpu_ms(self) -> float:
        """Per job, of all processes."""
        return sum(self.cpu_ms_per_job.values())


@dataclass(frozen=True, slots=True)
class AtEase:
    """What a contender does with nothing or little to do."""

    idle_cpu_share: Mapping[str, float]
    """By process, of one processor."""
    rss_mib: Mapping[str, float]
    alone_ms: list[float]
    at_rate_ms: list[float]


@dataclass(frozen=True, slots=True)
class Measured:
    """One contender, by rounds."""

    saturated: list[Saturated] = field(default_factory=list)
    at_ease: list[AtEase] = field(default_factory=list)


def run(*, rounds: int) -> Figures:
    """Measures and makes the figures."""
    console = Console(stderr=True)
    measured = {name: Measured() for name in _CONTENDERS}
    with tempfile.TemporaryDirectory(prefix="fan4-") as folder, ModelServer() as model, ExitStack() as stack:
        check_imports_of_worker(model.base_url, Path(folder) / "imports")
        contenders: dict[str, Running] = {}
        for name, contender in _CONTENDERS.items():
            contenders[name] = stack.enter_context(contender(model.base_url, Path(folder) / name))
            warm_up(contenders[name])
            contenders[name].processes.pause()
        for number in range(rounds):
            for name, running in contenders.items():
                running.processes.resume()
                warm_up(running, RESUME_S)
                if name != _POST:
                    measured[name].at_ease.append(at_ease(running))
                measured[name].saturated.append(saturate(running, model_pid=model.pid))
                running.processes.pause()
                console.print(f"round {number + 1}/{rounds} {name}: {_in_short(measured[name].saturated[-1])}")
    return figures_of(measured)


def _in_short(result: Saturated) -> str:
    said = f"{result.jobs_per_s:.0f} jobs/s, {result.cpu_ms:.2f} ms CPU a job"
    if result.other_cpu_share > MOST_COMPANY:
        said += f" [red](others use {result.other_cpu_share:.0%} of the machine)[/red]"
    return said


def warm_up(running: Running, duration_s: float = WARM_UP_S) -> None:
    """Has a contender open its connections and fill its caches."""
    loop = ClosedLoop(running.client, outstanding=OUTSTANDING)
    loop.run(duration_s)
    loop.drain()


def at_ease(running: Running) -> AtEase:
    """Measures a contender that idles, does one job at a time, and some jobs a second."""
    time.sleep(SETTLE_S)
    before, began = running.processes.cpu_s(), time.perf_counter()
    time.sleep(IDLE_S)
    took_s = time.perf_counter() - began
    return AtEase(
        idle_cpu_share={name: (used - before[name]) / took_s for name, used in running.processes.cpu_s().items()},
        rss_mib={name: running.processes.rss_mib(name) for name in (ORCHESTRATOR, WORKER)},
        alone_ms=one_at_a_time(running.client, jobs=ALONE_JOBS),
        at_rate_ms=at_a_rate(running.client, per_s=RATE_PER_S, duration_s=RATE_S),
    )


def saturate(running: Running, *, model_pid: int) -> Saturated:
    """Measures a contender that has always more to do."""
    loop = ClosedLoop(running.client, outstanding=OUTSTANDING)
    loop.run(RESUME_S)
    calls, busy, model, driver = _calls(running.redis), busy_s(), cpu_s(model_pid), time.process_time()
    before, began = running.processes.cpu_s(), time.perf_counter()
    jobs = loop.run(SATURATED_S)
    took_s = time.perf_counter() - began
    used_s = {name: used - before[name] for name, used in running.processes.cpu_s().items()}
    model, driver = cpu_s(model_pid) - model, time.process_time() - driver
    others_s = busy_s() - busy - model - driver - sum(used_s.values())
    calls = _calls(running.redis) - calls
    loop.drain()
    return Saturated(
        jobs_per_s=jobs / took_s,
        cpu_ms_per_job={name: used * 1000 / jobs for name, used in used_s.items()},
        redis_calls_per_job=calls / jobs,
        model_cpu_ms=model * 1000 / jobs,
        other_cpu_share=max(0.0, others_s / took_s / (os.cpu_count() or 1)),
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


def figures_of(measured: Mapping[str, Measured]) -> Figures:
    """Medians over the rounds, and the ratios within them."""
    ours, bare, post = measured[_OURS], measured[_CREATE], measured[_POST]
    figures = _saturated_figures(ours.saturated, {"bare": bare.saturated, "bare_post": post.saturated})
    for suffix, rounds in (("", ours.at_ease), ("_bare", bare.at_ease)):
        for way, latencies in (
            ("latency_ms", [one.alone_ms for one in rounds]),
            ("latency_20_per_s_ms", [one.at_rate_ms for one in rounds]),
        ):
            for percent in (50, 95, 99) if way == "latency_20_per_s_ms" else (50, 95):
                values = [percentile(of_round, percent) for of_round in latencies]
                figures[f"{way}_p{percent}{suffix}"] = median_figure(values, "ms", "lower")
        idle = [sum(one.idle_cpu_share.values()) for one in rounds]
        figures[f"idle_cpu_share_total{suffix}"] = median_figure(idle, "processors", "lower")
    pairs = zip(ours.at_ease, bare.at_ease, strict=True)
    ratios = [percentile(one.alone_ms, 50) / percentile(other.alone_ms, 50) for one, other in pairs]
    figures["latency_p50_ratio_to_bare"] = median_figure(ratios, "ratio", "lower")
    busiest = [max(one.idle_cpu_share.values()) for one in ours.at_ease]
    figures["idle_cpu_share"] = median_figure(busiest, "processors", "lower")
    for process in (WORKER, ORCHESTRATOR):
        rss = [one.rss_mib[process] for one in ours.at_ease]
        figures[f"rss_mib_{process}"] = median_figure(rss, "MiB", "lower")
    others = [one.other_cpu_share for contender in measured.values() for one in contender.saturated]
    figures["other_cpu_share"] = median_figure(others, "of all processors", "lower")
    return figures


def _saturated_figures(ours: list[Saturated], peers: Mapping[str, list[Saturated]]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for suffix, rounds in (("", ours), *((f"_{name}", rounds) for name, rounds in peers.items())):
        figures[f"jobs_per_s{suffix}"] = median_figure([one.jobs_per_s for one in rounds], "jobs/s", "higher")
        figures[f"cpu_ms_per_job{suffix}"] = median_figure([one.cpu_ms for one in rounds], "ms", "lower")
    for name, rounds in peers.items():
        pairs = list(zip(ours, rounds, strict=True))
        throughput = [one.jobs_per_s / other.jobs_per_s for one, other in pairs]
        figures[f"throughput_ratio_to_{name}"] = median_figure(throughput, "ratio", "higher")
        cpu = [one.cpu_ms / other.cpu_ms for one, other in pairs]
        figures[f"cpu_ratio_to_{name}"] = median_figure(cpu, "ratio", "lower")
    for process in ours[0].cpu_ms_per_job:
        used = [one.cpu_ms_per_job[process] for one in ours]
        figures[f"cpu_ms_per_job_{process}"] = median_figure(used, "ms", "lower")
    calls = [one.redis_calls_per_job for one in ours]
    figures["redis_calls_per_job"] = median_figure(calls, "calls", "lower")
    return figures
