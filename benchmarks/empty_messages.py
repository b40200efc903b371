"""What a message costs whose actor does nothing: messages a second, and CPU, under a backlog that does not end.

Three contenders, each with one worker process and with two, take turns; whoever is not measured is halted. What is done
is counted in Redis, by the bodies that are gone, so that neither a producer nor a result disturbs. CPU time is that of
the workers and of their Redis. `threads` are figures of our broker under the standard `dramatiq` command, where it has
the same threads and middleware as the stock one.
"""

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.contenders.contender import REDIS
from benchmarks.contenders.message_contender import KINDS, Kind, MessageContender
from benchmarks.figures import Figure, Figures, median_figure
from benchmarks.measured_processes import Company

ROUNDS: Final = 5
QUEUE: Final = "empty"
PROCESSES: Final = (1, 2)
BACKLOG: Final = 45_000
WARM_UP_S: Final = 0.7
MEASURED_S: Final = 2.5

_Setup = tuple[Kind, int]


@dataclass(frozen=True, slots=True)
class Throughput:
    """What a contender did in one round."""

    messages_per_s: float
    cpu_us_per_message: float
    redis_cpu_us_per_message: float
    other_cpu_share: float


def run(*, rounds: int) -> Figures:
    """Measures and makes the figures."""
    console = Console(stderr=True)
    measured: dict[_Setup, list[Throughput]] = {(kind, number): [] for kind in KINDS for number in PROCESSES}
    with tempfile.TemporaryDirectory(prefix="empty-") as folder, ExitStack() as stack:
        contenders: dict[_Setup, MessageContender] = {}
        for kind, number in measured:
            contender = stack.enter_context(MessageContender(kind, Path(folder) / f"{kind}-{number}"))
            contender.start_workers(*((f"worker {index}", [QUEUE]) for index in range(number)))
            contender.processes.pause()
            contenders[kind, number] = contender
        for number in range(rounds):
            for setup, contender in contenders.items():
                contender.fill(QUEUE, "empty", repeat((), BACKLOG))
                contender.processes.resume()
                measured[setup].append(throughput(contender, QUEUE))
                contender.drop_waiting(QUEUE)
                contender.processes.pause()
                console.print(f"round {number + 1}/{rounds} {setup}: {measured[setup][-1]}")
    return figures_of(measured)


def throughput(contender: MessageContender, queue: str) -> Throughput:
    """Measures workers that have always more to do.

    Raises:
        RuntimeError: They had not.
    """
    time.sleep(WARM_UP_S)
    with Company(contender.processes) as company:
        before, begun, not_done = contender.processes.cpu_s(), time.perf_counter(), contender.not_done(queue)
        time.sleep(MEASURED_S)
        done = not_done - contender.not_done(queue)
        took_s = time.perf_counter() - begun
    used_s = {name: used - before[name] for name, used in contender.processes.cpu_s().items()}
    if contender.waiting(queue) == 0:
        raise RuntimeError(f"the backlog of {contender.kind} came to its end: {done} messages in {took_s:.1f} s")
    return Throughput(
        messages_per_s=done / took_s,
        cpu_us_per_message=sum(used_s.values()) * 1e6 / done,
        redis_cpu_us_per_message=used_s[REDIS] * 1e6 / done,
        other_cpu_share=company.share,
    )


def figures_of(measured: Mapping[_Setup, list[Throughput]]) -> Figures:
    """Medians over the rounds, and the ratios within them."""
    figures: dict[str, Figure] = {}
    for (kind, number), rounds in measured.items():
        suffix = {"ours": "", "ours_threads": "_threads", "stock": "_stock"}[kind]
        if number > 1:
            suffix += f"_{number}_processes"
        per_s = [one.messages_per_s for one in rounds]
        figures[f"messages_per_s{suffix}"] = median_figure(per_s, "messages/s", "higher")
        if kind != "stock":
            pairs = zip(rounds, measured["stock", number], strict=True)
            ratios = [one.messages_per_s / other.messages_per_s for one, other in pairs]
            figures[f"throughput_ratio_to_stock{suffix}"] = median_figure(ratios, "ratio", "higher")
        cpu = [one.cpu_us_per_message for one in rounds]
        figures[f"cpu_us_per_message{suffix}"] = median_figure(cpu, "µs", "lower")
        of_redis = [one.redis_cpu_us_per_message for one in rounds]
        figures[f"redis_cpu_us_per_message{suffix}"] = median_figure(of_redis, "µs", "lower")
    others = [one.other_cpu_share for rounds in measured.values() for one in rounds]
    figures["other_cpu_share"] = median_figure(others, "of all processors", "lower")
    return figures
