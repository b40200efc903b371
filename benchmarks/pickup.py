"""How soon a message starts on an idle system: from before it is enqueued until its actor runs.

Each contender has an idle worker process, and gets a message now and then, each by its own producer; all wait at the
same time, since a worker that waits disturbs nobody. Beside them stand processes that get a message only every half
minute, each on a queue of its own: what a quiet night does to whoever backs off.

Percentiles are of all messages of all rounds.
"""

import random
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.contenders.message_contender import KINDS, Kind, MessageContender
from benchmarks.figures import Figure, Figures, median_figure, percentile
from benchmarks.happenings import What
from benchmarks.measured_processes import Company

ROUNDS: Final = 4
QUIET: Final[tuple[Kind, ...]] = ("ours", "stock")
QUIET_PROCESSES: Final = 3
ROUND_S: Final = 30.0
"""For so long a quiet process has had nothing to do before its next message."""
MESSAGES_A_ROUND: Final = 40
_SETTLE_S: Final = 1.5
_PATIENCE_S: Final = 30.0
_QUEUE: Final = "pickup"


def run(*, rounds: int) -> Figures:
    """Measures and makes the figures."""
    console = Console(stderr=True)
    took_ms: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
    quiet_ms: dict[Kind, list[float]] = {kind: [] for kind in QUIET}
    idle_shares: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
    company_shares = []
    with tempfile.TemporaryDirectory(prefix="pickup-") as folder, ExitStack() as stack:
        waiting, quiet = {}, {}
        for kind in KINDS:
            waiting[kind] = stack.enter_context(MessageContender(kind, Path(folder) / kind))
            waiting[kind].start_workers(("worker", [_QUEUE]))
        for kind in QUIET:
            quiet[kind] = stack.enter_context(MessageContender(kind, Path(folder) / f"quiet-{kind}"))
            quiet[kind].start_workers(*((f"worker {i}", [f"{_QUEUE}{i}"]) for i in range(QUIET_PROCESSES)))
        for contender in waiting.values():
            pick_up(contender, _QUEUE)  # what a first message costs is not asked here
        for contender in quiet.values():
            for index in range(QUIET_PROCESSES):
                pick_up(contender, f"{_QUEUE}{index}")
        everybody = [contender.processes for contender in (*waiting.values(), *quiet.values())]
        for number in range(rounds):
            time.sleep(_SETTLE_S)
            with Company(*everybody) as company:
                round_of(waiting, took_ms, idle_shares)
            company_shares.append(company.share)
            for kind, contender in quiet.items():
                quiet_ms[kind] += [pick_up(contender, f"{_QUEUE}{i}") for i in range(QUIET_PROCESSES)]
            medians = {kind: f"{percentile(values, 50):.2f} ms" for kind, values in took_ms.items()}
            console.print(f"round {number + 1}/{rounds}: {medians}, company {company.share:.1%}")
    figures: dict[str, Figure] = {}
    suffixes: dict[Kind, str] = {"ours": "", "ours_threads": "_threads", "stock": "_stock"}
    for kind, values in took_ms.items():
        figures |= _percentiles("pickup_ms", suffixes[kind], values)
        figures[f"idle_cpu_share{suffixes[kind]}"] = median_figure(idle_shares[kind], "processors", "lower")
    for kind, values in quiet_ms.items():
        figures |= _percentiles("pickup_after_30_s_ms", suffixes[kind], values)
    for figure in ("pickup", "pickup_after_30_s"):
        ratio = figures[f"{figure}_ms_p50"].value / figures[f"{figure}_ms_p50_stock"].value
        figures[f"{figure}_p50_ratio_to_stock"] = median_figure([ratio], "ratio", "lower")
    figures["other_cpu_share"] = median_figure(company_shares, "of all processors", "lower")
    return figures


def round_of(
    waiting: dict[Kind, MessageContender], took_ms: dict[Kind, list[float]], idle_shares: dict[Kind, list[float]]
) -> None:
    """Half a minute of single messages; then none for a moment, in which the idle workers' CPU time is read."""
    gap_s = ROUND_S / MESSAGES_A_ROUND
    for _ in range(MESSAGES_A_ROUND):
        due = time.perf_counter() + gap_s * random.uniform(0.5, 1.5)
        for kind, contender in waiting.items():
            took_ms[kind].append(pick_up(contender, _QUEUE))
        time.sleep(max(0.0, due - time.perf_counter()))
    before = {kind: contender.processes.cpu_s()["worker"] for kind, contender in waiting.items()}
    begun = time.perf_counter()
    time.sleep(_SETTLE_S * 2)
    for kind, contender in waiting.items():
        used_s = contender.processes.cpu_s()["worker"] - before[kind]
        idle_shares[kind].append(used_s / (time.perf_counter() - begun))


def pick_up(contender: MessageContender, queue: str) -> float:
    """How long one message takes until it starts, ms."""
    sent_us = time.time_ns() // 1000
    contender.enqueue(queue, "work", 0, 0)
    [started] = contender.happenings.wait(What.START, 1, timeout_s=_PATIENCE_S)
    return (started.at_us - sent_us) / 1000


def _percentiles(name: str, suffix: str, values: list[float]) -> Figures:
    chosen = {f"p{percent}": percentile(values, percent) for percent in (50, 95, 99)} | {"max": max(values)}
    return {f"{name}_{which}{suffix}": median_figure([value], "ms", "lower") for which, value in chosen.items()}
