"""fan4 beside what a user would pick instead, in one run.

Everybody is started with a store of its own, and they take turns of some seconds; whoever is not measured is halted.
All call the model in the same way (the openai SDK's `post()`), all are loaded in the same way (`load_process`).
CPU time is that of the contender's processes and its store. Ratios are taken within a round. A peer that cannot be
installed, started, or brought to do its jobs is reported with its reason, and the others go on.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.figures import Figure, Figures, median_figure, percentile
from benchmarks.load import JobFailed
from benchmarks.machine import busy_s
from benchmarks.measured_processes import cpu_s
from benchmarks.model_server import ModelServer
from benchmarks.peers.contenders import CONTENDERS, Running, Site
from benchmarks.peers.faults import FAULTS, Fault, Suffered, look_after, strike
from benchmarks.peers.installed import PeerUnavailable
from benchmarks.peers.page import write_page

OUTSTANDING: Final = 32
ALONE_JOBS: Final = 20
_OURS: Final = "trunkline"
_WARM_UP_S: Final = 2.0
_RESUME_S: Final = 1.0
_SATURATED_S: Final = 3.0
_SETTLE_S: Final = 1.0
_IDLE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Round:
    """What a contender did in one round."""

    jobs_per_s: float
    cpu_ms_per_job: Mapping[str, float]
    """By process."""
    latencies_ms: list[float]
    """Of jobs with nothing else running."""
    idle_cpu_share: float
    """Of one processor, by all its processes."""
    other_cpu_share: float
    """Of all processors, used by neither the contender nor the benchmark while it was saturated."""

    @property
    def cpu_ms(self) -> float:
        """Per job, of all processes."""
        return sum(self.cpu_ms_per_job.values())


@dataclass(slots=True)
class Measured:
    """One contender."""

    rounds: list[Round] = field(default_factory=list)
    faults: dict[Fault, Suffered] = field(default_factory=dict)
    failed: str = ""
    """Why it is not measured, or no further."""


class _Contest:
    def __init__(self, console: Console, model: ModelServer) -> None:
        self.measured = {name: Measured() for name in CONTENDERS}
        self._running: dict[str, Running] = {}
        self._console = console
        self._model = model

    def start(self, stack: ExitStack, folder: Path) -> None:
        """Starts everybody, and halts them."""
        for name, start in CONTENDERS.items():
            with self._failure_is_told(name):
                own = folder / name
                own.mkdir()
                self._console.print(f"{name}: starts")
                running = stack.enter_context(start(Site(self._model.base_url, own)))
                running.load.keep(OUTSTANDING)
                running.load.saturate(_WARM_UP_S)
                running.load.drain()
                _halt(running)
                self._running[name] = running

    def one_round(self, number: str) -> None:
        """Measures everybody in turn."""
        for name, running in tuple(self._running.items()):
            with self._failure_is_told(name):
                running.processes.resume()
                result = measure(running, model_pid=self._model.pid)
                _halt(running)
                self.measured[name].rounds.append(result)
                self._console.print(
                    f"round {number} {name}: {result.jobs_per_s:.1f} jobs/s, {result.cpu_ms:.1f} ms CPU a job, "
                    f"alone {percentile(result.latencies_ms, 50):.1f} ms, idle {result.idle_cpu_share:.1%}, "
                    f"others {result.other_cpu_share:.0%}"
                )

    def suffer(self, fault: Fault) -> None:
        """Has everybody suffer a fault, and afterwards waits at once for all whose jobs have not ended."""
        for name, running in tuple(self._running.items()):
            with self._failure_is_told(name):
                running.processes.resume()
                suffered = self.measured[name].faults[fault] = strike(running, fault)
                if suffered.ends is not None:
                    _halt(running)
        for name, running in tuple(self._running.items()):
            with self._failure_is_told(name):
                suffered = self.measured[name].faults[fault]
                look_after(running, suffered)
                _halt(running)
                self._console.print(
                    f"{fault} {name}: {suffered.outstanding} outstanding, {suffered.lost} lost, last job after "
                    f"{suffered.last_end_s:.1f} s, restarted {suffered.restarted} times"
                )

    @contextmanager
    def _failure_is_told(self, name: str) -> Iterator[None]:
        try:
            yield
        except (PeerUnavailable, JobFailed, RuntimeError) as error:
            self.measured[name].failed = str(error)
            running = self._running.pop(name, None)
            logs = running.processes.logs() if running else ""
            if running:
                _halt(running)
            self._console.print(f"{name}: {error}\n{logs}", markup=False, highlight=False)


def _halt(running: Running) -> None:
    running.processes.all_are_up()  # some may have been started since
    running.processes.pause()


def compare(*, rounds: int) -> Figures:
    """Measures and makes the figures, and writes them into docs/peers.md."""
    with tempfile.TemporaryDirectory(prefix="peers-") as folder, ModelServer() as model, ExitStack() as stack:
        contest = _Contest(Console(stderr=True), model)
        contest.start(stack, Path(folder))
        for number in range(rounds):
            contest.one_round(f"{number + 1}/{rounds}")
        for fault in FAULTS:
            contest.suffer(fault)
    if contest.measured[_OURS].failed:
        raise JobFailed(contest.measured[_OURS].failed)
    figures = figures_of(contest.measured)
    write_page(figures, {name: one.failed for name, one in contest.measured.items()})
    return figures


def measure(running: Running, *, model_pid: int) -> Round:
    """Measures a contender that idles, does one job at a time, and has always more to do."""
    time.sleep(_SETTLE_S)
    running.processes.all_are_up()
    before, began = running.processes.cpu_s(), time.perf_counter()
    time.sleep(_IDLE_S)
    idle = (sum(running.processes.cpu_s().values()) - sum(before.values())) / (time.perf_counter() - began)
    latencies_ms = running.load.alone(ALONE_JOBS)
    running.load.saturate(_RESUME_S)
    running.processes.all_are_up()

    def own_s() -> float:
        return cpu_s(model_pid) + cpu_s(running.load.pid) + time.process_time()

    busy, own, before, began = busy_s(), own_s(), running.processes.cpu_s(), time.perf_counter()
    jobs_per_s = running.load.saturate(_SATURATED_S)
    took_s = time.perf_counter() - began
    used_s = {name: used - before[name] for name, used in running.processes.cpu_s().items()}
    others_s = busy_s() - busy - (own_s() - own) - sum(used_s.values())
    running.load.drain()
    return Round(
        jobs_per_s=jobs_per_s,
        cpu_ms_per_job={name: used * 1000 / (jobs_per_s * took_s) for name, used in used_s.items()},
        latencies_ms=latencies_ms,
        idle_cpu_share=idle,
        other_cpu_share=max(0.0, others_s / took_s / (os.cpu_count() or 1)),
    )


def figures_of(measured: Mapping[str, Measured]) -> Figures:
    """Medians over the rounds, and the ratios within them; those of ours have no suffix."""
    figures: dict[str, Figure] = {}
    for name, one in measured.items():
        if one.rounds:
            figures |= _figures_of_one("" if name == _OURS else f"_{name}", one)
    for name, one in measured.items():
        pairs = list(zip(measured[_OURS].rounds, one.rounds, strict=False))  # one that failed has fewer
        if name != _OURS and pairs:
            throughput = [ours.jobs_per_s / other.jobs_per_s for ours, other in pairs]
            figures[f"throughput_ratio_to_{name}"] = median_figure(throughput, "ratio", "higher")
            cpu = [ours.cpu_ms / other.cpu_ms for ours, other in pairs]
            figures[f"cpu_ratio_to_{name}"] = median_figure(cpu, "ratio", "lower")
            latency = [percentile(us.latencies_ms, 50) / percentile(it.latencies_ms, 50) for us, it in pairs]
            figures[f"latency_p50_ratio_to_{name}"] = median_figure(latency, "ratio", "lower")
    others = [result.other_cpu_share for one in measured.values() for result in one.rounds]
    figures["other_cpu_share"] = median_figure(others, "of all processors", "lower")
    return figures


def _figures_of_one(suffix: str, one: Measured) -> Figures:
    figures = {
        f"jobs_per_s{suffix}": median_figure([result.jobs_per_s for result in one.rounds], "jobs/s", "higher"),
        f"cpu_ms_per_job{suffix}": median_figure([result.cpu_ms for result in one.rounds], "ms", "lower"),
    }
    for process in one.rounds[0].cpu_ms_per_job:
        used = [result.cpu_ms_per_job[process] for result in one.rounds]
        figures[f"cpu_ms_per_job_{process}{suffix}"] = median_figure(used, "ms", "lower")
    for percent in (50, 95):
        latencies = [percentile(result.latencies_ms, percent) for result in one.rounds]
        figures[f"latency_ms_p{percent}{suffix}"] = median_figure(latencies, "ms", "lower")
    idle = [result.idle_cpu_share for result in one.rounds]
    figures[f"idle_cpu_share_total{suffix}"] = median_figure(idle, "processors", "lower")
    for fault, suffered in one.faults.items():
        if suffered.ends is not None:
            ends = suffered.ends
            figures[f"outstanding_{fault}_killed{suffix}"] = Figure(suffered.outstanding, "jobs", "higher")
            figures[f"lost_{fault}_killed{suffix}"] = Figure(suffered.lost, "jobs", "lower")
            figures[f"ended_twice_{fault}_killed{suffix}"] = Figure(ends.ended_twice, "jobs", "lower")
            figures[f"last_job_s_{fault}_killed{suffix}"] = median_figure([suffered.last_end_s], "s", "lower")
    return figures
