"""What telemetry costs: fan4 without facts, with them, with every trace exported beside it, and with a dead collector.

Four deployments, each with a Redis of its own, take turns; whoever is not measured is halted. Ratios are taken within a
round. `throughput_cost_share` is what is lost when the telemetry process, and a collector that takes everything, share
the two processors with all the rest.

`hot_path_cost_share` compares the CPU time of orchestrator, worker and Redis with facts to that without, where
`without_facts` takes the recording away. (The one event that the submit records, in the client's script, stays.) It is
a few hundredths, while the same work takes a tenth more or less time from one second to the next, and more the busier
the processors are; so it is counted in CPU time of the model server, whose work is always the same.
`hot_path_cpu_share` is the same in plain seconds.
"""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.collector import Collector
from benchmarks.contenders.contender import TELEMETRY, Contender, Running
from benchmarks.contenders.trunkline_contender import trunkline_contender
from benchmarks.fan4 import RESUME_S, Saturated, saturate, warm_up
from benchmarks.figures import Figures, median_figure
from benchmarks.model_server import ModelServer

#: One round of three seconds is off by a tenth on a machine that is not all ours, and what is measured is a tenth.
ROUNDS: Final = 30
#: Nobody listens there.
_DEAD: Final = "http://127.0.0.1:9"
_OFF, _ON, _EXPORTING, _DEAD_COLLECTOR = "off", "on", "exporting", "dead_collector"


def run(*, rounds: int) -> Figures:
    """Measures and makes the figures."""
    console = Console(stderr=True)
    measured: dict[str, list[Saturated]] = {name: [] for name in (_OFF, _ON, _EXPORTING, _DEAD_COLLECTOR)}
    us_per_span: list[float] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="telemetry-")))
        collector = stack.enter_context(Collector())
        model = stack.enter_context(ModelServer())
        contenders: dict[str, Contender] = {
            _OFF: partial(trunkline_contender, facts=False),
            _ON: trunkline_contender,
            _EXPORTING: partial(trunkline_contender, exporting_to=collector.url),
            _DEAD_COLLECTOR: partial(trunkline_contender, exporting_to=_DEAD),
        }
        started: dict[str, Running] = {}
        for name, contender in contenders.items():
            started[name] = stack.enter_context(contender(model.base_url, folder / name))
            warm_up(started[name])
            started[name].processes.pause()
        for number in range(rounds):
            turns = list(started.items())
            for name, running in turns if number % 2 == 0 else reversed(turns):
                running.processes.resume()
                warm_up(running, RESUME_S)
                spans, used_s = _spans(running), running.processes.cpu_s()
                measured[name].append(saturate(running, model_pid=model.pid))
                if name == _EXPORTING:
                    used_on_telemetry_s = running.processes.cpu_s()[TELEMETRY] - used_s[TELEMETRY]
                    us_per_span.append(used_on_telemetry_s * 1e6 / (_spans(running) - spans))
                running.processes.pause()
                last = measured[name][-1]
                console.print(
                    f"round {number + 1}/{rounds} {name}: {last.jobs_per_s:.0f} jobs/s, {last.cpu_ms:.2f} ms CPU a job"
                )
        lag = _lag(started[_EXPORTING])
    return figures_of(measured, us_per_span, lag)


def figures_of(measured: Mapping[str, list[Saturated]], us_per_span: list[float], lag: int) -> Figures:
    """Medians over the rounds, and the shares within them."""
    on, off = measured[_ON], measured[_OFF]
    hot_path = [_work(one) / _work(other) - 1 for one, other in zip(on, off, strict=True)]
    in_seconds = [one.cpu_ms / other.cpu_ms - 1 for one, other in zip(on, off, strict=True)]
    figures = {
        "hot_path_cost_share": median_figure(hot_path, "of CPU per job", "lower"),
        "hot_path_cpu_share": median_figure(in_seconds, "of CPU seconds per job", "lower"),
        "export_us_per_span": median_figure(us_per_span, "µs", "lower"),
    }
    for figure, name in (("throughput_cost_share", _EXPORTING), ("dead_collector_cost_share", _DEAD_COLLECTOR)):
        shares = [1 - one.jobs_per_s / other.jobs_per_s for one, other in zip(measured[name], on, strict=True)]
        figures[figure] = median_figure(shares, "of jobs/s", "lower")
    for name, rounds in measured.items():
        figures[f"jobs_per_s_{name}"] = median_figure([one.jobs_per_s for one in rounds], "jobs/s", "higher")
        figures[f"cpu_ms_per_job_{name}"] = median_figure([one.cpu_ms for one in rounds], "ms", "lower")
    figures["feed_lag_at_end"] = median_figure([lag], "entries", "lower")
    others = [one.other_cpu_share for rounds in measured.values() for one in rounds]
    figures["other_cpu_share"] = median_figure(others, "of all processors", "lower")
    return figures


def _work(measured: Saturated) -> float:
    return measured.cpu_ms / measured.model_cpu_ms


def _spans(running: Running) -> int:
    counted: Any = running.redis.hget("{trunkline}:feed:group:traces", "spans")
    return int(counted or 0)


def _lag(running: Running) -> int:
    delivered: Any = running.redis.hget("{trunkline}:feed:group:traces", "delivered")
    announced: Any = running.redis.get("{trunkline}:feed:sequence")
    return int(announced) - int(delivered or 0)
