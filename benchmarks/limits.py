"""How exactly limits are kept, and what that costs: at 2, 50 and 500 starts a second, with 1, 4 and 8 processes.

Each queue has a backlog all the time. Starts are counted twice: when Redis hands them out, where the limit is kept,
and when the work begins, where a busy process may be late. The stock broker has no limits; beside ours stands the
limiter that Dramatiq recommends, inside the actor, at 50 a second in one process. What others feel of a limit is in
`limit_neighbours`.

Figures with no rate and no number of processes in their name are the worst of all rates, `fetches_per_start` with 8
processes, the others with any number. `threads_held` is compared at 50 a second in one process: the slots that are
taken up, on average, by messages whose work has not started.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from rich.console import Console

from benchmarks.contenders.message_contender import MessageContender
from benchmarks.figures import Figure, Figures, median_figure, percentile
from benchmarks.happenings import Happening, What
from benchmarks.limit_accuracy import rate_used, spacing_errors_ms, worst_excess
from benchmarks.limit_neighbours import fairness, unlimited_beside_limited
from benchmarks.measured_processes import Company
from messaging.command_runner import BlockingRunner
from messaging.limits import QueueLimits, Rate, set_queue_limits

ROUNDS: Final = 1
PROCESSES: Final = (1, 4, 8)
HERD: Final = 8
STOCK_RATE: Final = 50
STOCK_S: Final = 30.0
WORK_S: Final = 0.005
_SETTLE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Limit:
    """A queue's rate, and for how long it is measured."""

    per_s: int
    burst: int
    measured_s: float

    @property
    def queue(self) -> str:
        return f"limited{self.per_s}"


LIMITS: Final = (Limit(2, 1, 12.0), Limit(50, 5, 6.0), Limit(500, 10, 6.0))


@dataclass(frozen=True, slots=True)
class Kept:
    """How a limit was kept."""

    starts: int
    worst_excess_at_dispatch: float
    worst_excess_at_start: float
    rate_used: float
    spacing_error_ms_p95: float
    fetches_per_start: float
    retries_per_start: float
    slots_held: float
    """Slots or threads taken up by messages that have not started, on average."""
    other_cpu_share: float


def run(*, rounds: int) -> Figures:
    """Measures and makes the figures."""
    console = Console(stderr=True)
    kept: dict[tuple[int, int], list[Kept]] = {}
    stock: list[Kept] = []
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory(prefix="limits-") as folder:
        for number in range(rounds):
            for processes in PROCESSES:
                with ExitStack() as stack:
                    ours = stack.enter_context(MessageContender("ours", Path(folder) / f"ours-{number}-{processes}"))
                    runner = BlockingRunner(ours.redis, namespace=ours.namespace)
                    for limit in LIMITS:
                        limits = QueueLimits(rate=Rate(limit.per_s), burst=limit.burst)
                        runner.run(set_queue_limits(limit.queue, limits))
                    queues = [limit.queue for limit in LIMITS]
                    ours.start_workers(*((f"worker {index}", queues) for index in range(processes)))
                    for index, limit in enumerate(LIMITS):
                        result = keep(ours, limit, index)
                        kept.setdefault((limit.per_s, processes), []).append(result)
                        console.print(f"{limit.per_s}/s, {processes} processes: {result}")
            with MessageContender("stock", Path(folder) / f"stock-{number}", limit_per_s=STOCK_RATE) as contender:
                contender.start_workers(("worker 0", ["limited"]))
                stock.append(keep_with_limiter_in_the_actor(contender))
                console.print(f"stock: {stock[-1]}")
        figures |= figures_of(kept, stock)
        figures |= unlimited_beside_limited(Path(folder))
        figures |= fairness(Path(folder))
    others = [one.other_cpu_share for results in kept.values() for one in results]
    figures["other_cpu_share"] = median_figure(others, "of all processors", "lower")
    return figures


def keep(contender: MessageContender, limit: Limit, index: int) -> Kept:
    """Measures one queue of ours, the others being empty."""
    contender.happenings.new()
    backlog = round(limit.per_s * limit.measured_s * 1.2) + 50
    with Company(contender.processes) as company:
        contender.fill(limit.queue, "work", ((number, WORK_S) for number in range(backlog)))
        time.sleep(limit.measured_s)
        happened = contender.happenings.new()
    if contender.waiting(limit.queue) == 0:
        raise RuntimeError(f"the backlog of {limit.queue} came to its end")
    contender.drop_waiting(limit.queue)
    starts = [one for one in happened if one.what == What.START]
    settled_us = starts[0].at_us + round(min(_SETTLE_S, limit.measured_s / 4) * 1e6)
    settled = [one.at_us for one in starts if one.at_us >= settled_us]
    fetches = [one for one in happened if one.what == What.FETCH and one.number == index and one.at_us >= settled_us]
    at_dispatch, at_start = [one.fetched_us for one in starts], [one.at_us for one in starts]
    waited_us = sum(one.at_us - one.fetched_us for one in starts)
    return Kept(
        starts=len(starts),
        worst_excess_at_dispatch=max(0.0, worst_excess(at_dispatch, rate=limit.per_s, burst=limit.burst)),
        worst_excess_at_start=max(0.0, worst_excess(at_start, rate=limit.per_s, burst=limit.burst)),
        rate_used=rate_used(at_dispatch, rate=limit.per_s, burst=limit.burst),
        spacing_error_ms_p95=percentile(spacing_errors_ms(settled, rate=limit.per_s), 95),
        fetches_per_start=len(fetches) / len(settled),
        retries_per_start=_repeated(starts) / len(starts),
        slots_held=waited_us / 1e6 / limit.measured_s,
        other_cpu_share=company.share,
    )


def keep_with_limiter_in_the_actor(contender: MessageContender) -> Kept:
    """Measures the stock broker's way: an actor that is not let through is retried later."""
    with Company(contender.processes) as company:
        contender.fill("limited", "limited", ((number, WORK_S) for number in range(round(STOCK_RATE * STOCK_S * 1.2))))
        time.sleep(STOCK_S)
        happened = contender.happenings.new()
    attempts = [one for one in happened if one.what == What.ATTEMPT]
    starts = [one for one in happened if one.what == What.START]
    times = [one.at_us for one in starts]
    begun = attempts[0].at_us
    return Kept(
        starts=len(starts),
        worst_excess_at_dispatch=worst_excess(times, rate=STOCK_RATE, burst=0),
        worst_excess_at_start=worst_excess(times, rate=STOCK_RATE, burst=0),
        rate_used=len(starts) / (STOCK_RATE * (happened[-1].at_us - begun) / 1e6),
        spacing_error_ms_p95=percentile(spacing_errors_ms(times, rate=STOCK_RATE), 95),
        fetches_per_start=0.0,
        retries_per_start=_repeated(attempts) / len(starts),
        slots_held=_asking_us(happened) / 1e6 / STOCK_S,
        other_cpu_share=company.share,
    )


def _repeated(happened: Sequence[Happening]) -> int:
    return sum(times - 1 for times in Counter(one.number for one in happened).values())


def _asking_us(happened: Sequence[Happening]) -> int:
    """For how long, in sum, messages occupied a thread without being let through, or until they were."""
    asked_at, sum_us = {}, 0
    for one in happened:
        if one.what == What.ATTEMPT:
            asked_at[one.number] = one.at_us
        elif one.what in (What.START, What.REFUSED):
            sum_us += one.at_us - asked_at[one.number]
    return sum_us


def figures_of(kept: Mapping[tuple[int, int], Sequence[Kept]], stock: Sequence[Kept]) -> Figures:
    """Medians over the rounds; and of these, the worst."""
    figures: dict[str, Figure] = {}
    for (per_s, processes), results in kept.items():
        where = f"_{per_s}_per_s_{processes}_processes"
        figures[f"fetches_per_start{where}"] = _median(results, "fetches_per_start", "lower")
        figures[f"rate_used{where}"] = _median(results, "rate_used", "higher")
        figures[f"worst_window_excess{where}"] = _median(results, "worst_excess_at_dispatch", "lower")
        figures[f"worst_window_excess_at_start{where}"] = _median(results, "worst_excess_at_start", "lower")
        figures[f"spacing_error_ms_p95{where}"] = _median(results, "spacing_error_ms_p95", "lower")

    def worst(figure: str, of: Callable[[Iterable[float]], float], processes: Sequence[int] = PROCESSES) -> Figure:
        names = [f"{figure}_{limit.per_s}_per_s_{number}_processes" for limit in LIMITS for number in processes]
        return replace(figures[names[0]], value=of(figures[name].value for name in names))

    overall = {
        "fetches_per_start": worst("fetches_per_start", max, [HERD]),
        "worst_window_excess": worst("worst_window_excess", max),
        "worst_window_excess_at_start": worst("worst_window_excess_at_start", max),
        "rate_used": worst("rate_used", min),
    }
    everything = [one for results in kept.values() for one in results]
    overall["retries_used"] = _figure(max(one.retries_per_start for one in everything), "per start", "lower")
    overall["threads_held"] = replace(_median(kept[STOCK_RATE, 1], "slots_held", "lower"), unit="slots")
    overall["retries_used_stock"] = replace(_median(stock, "retries_per_start", "lower"), unit="per start")
    overall["threads_held_stock"] = replace(_median(stock, "slots_held", "lower"), unit="slots")
    overall["rate_used_stock"] = _median(stock, "rate_used", "higher")
    overall["worst_window_excess_at_start_stock"] = _median(stock, "worst_excess_at_start", "lower")
    return overall | figures


_UNITS: Final = {
    "fetches_per_start": "fetches",
    "rate_used": "share",
    "worst_excess_at_dispatch": "starts",
    "worst_excess_at_start": "starts",
    "spacing_error_ms_p95": "ms",
}


def _median(results: Sequence[Kept], attribute: str, better: Literal["higher", "lower"]) -> Figure:
    return median_figure([getattr(one, attribute) for one in results], _UNITS.get(attribute, ""), better)


def _figure(value: float, unit: str, better: Literal["higher", "lower"]) -> Figure:
    return median_figure([value], unit, better)
