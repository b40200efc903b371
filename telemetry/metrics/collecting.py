"""All metrics at one moment: what has been added up in Redis, and how queues, jobs and the feed stand right now."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from ledger.feed import FeedLag, read_feed_counts, read_feed_lag
from ledger.reading import count_active_jobs, read_counters
from messaging.command import Command
from messaging.command_runner import AsyncCommandRunner
from messaging.envelopes import living_workers
from messaging.queue_states import QueueState, read_queue_states
from telemetry.metrics import instruments as of
from telemetry.metrics.fields import Exemplar, Labels, Series, hashes_since, read_exemplars, read_series
from telemetry.metrics.instruments import Instrument
from telemetry.metrics.label_gate import MOST_VALUES, OTHER
from telemetry.metrics.store import read_hashes, read_metrics
from telemetry.metrics.tool_report import tool_lines

__all__ = ["Collected", "collect"]

RECENT: Final = timedelta(minutes=5)
_QUANTILES: Final = (0.5, 0.95, 0.99)
_NOT_COUNTED: Final = frozenset({"delivered", "last_id"})
_REPLIES: Final = "reply.*"


@dataclass(frozen=True, slots=True)
class Collected:
    """The metrics.

    Attributes:
        series: By metric.
        exemplars: Of histograms, by series and by the exponent of their bucket's bound.
        since_us: When the counting began, µs since 1970.
        at_us: When they were collected, likewise, by Redis's clock.
    """

    series: Mapping[Instrument, Series]
    exemplars: Mapping[tuple[Instrument, Labels], Mapping[int, Exemplar]]
    since_us: int
    at_us: int


async def collect(runner: AsyncCommandRunner, *, namespace: str, groups: Sequence[str]) -> Collected:
    """Reads everything.

    Args:
        runner: Carries commands.
        namespace: The key prefix, braces included.
        groups: Whose lag behind the feed is told.
    """
    stored, at_us, states, workers, active, corrections = await asyncio.gather(
        runner.run(read_metrics()),
        runner.run(read_time()),
        runner.run(read_queue_states()),
        runner.run(living_workers()),
        runner.run(count_active_jobs(namespace)),
        runner.run(read_counters(namespace)),
    )
    names, _ = hashes_since(at_us / 1e6 - RECENT.total_seconds(), now_s=at_us / 1e6)
    recent, lags, counts = await asyncio.gather(
        runner.run(read_hashes(names)),
        asyncio.gather(*(runner.run(read_feed_lag(group)) for group in groups)),
        asyncio.gather(*(runner.run(read_feed_counts(namespace, group)) for group in groups)),
    )
    series = {
        **read_series([stored.totals]),
        **recent_series(read_series(recent)),
        **queue_series(states, workers),
        **feed_series(dict(zip(groups, lags, strict=True)), dict(zip(groups, counts, strict=True))),
        of.ACTIVE_JOBS: Series(numbers={(): active}),
        of.CORRECTIONS: Series(numbers={(kind,): number for kind, number in corrections.items()}),
    }
    return Collected(series, read_exemplars(stored.exemplars), stored.since_us or at_us, at_us)


def read_time() -> Command[int]:
    """Redis's clock, µs since 1970."""
    return Command(None, ("TIME",), lambda answer: int(answer[0]) * 1_000_000 + int(answer[1]))


def queue_series(states: Sequence[QueueState], workers: Sequence[Mapping[str, Any]]) -> Mapping[Instrument, Series]:
    """How queues stand. The reply queues, which upstream systems name, are one."""
    gauges: dict[Instrument, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
    serving = Counter(queue for worker in workers for queue in worker.get("queues", ()))
    names = [state.name for state in states if not state.name.startswith("reply.")]
    known = set(names[: MOST_VALUES[of.QUEUE]])
    for state in states:
        queue = (state.name if state.name in known else OTHER if state.name in names else _REPLIES,)
        gauges[of.QUEUE_DEPTH][queue] += state.waiting
        gauges[of.QUEUE_RUNNABLE][queue] += state.runnable
        gauges[of.QUEUE_THROTTLED][queue] += state.throttled
        gauges[of.QUEUE_IN_FLIGHT][queue] += state.in_flight
        gauges[of.QUEUE_SCHEDULED][queue] += state.scheduled
        gauges[of.QUEUE_DEAD][queue] += state.dead
        gauges[of.QUEUE_WORKERS][queue] += serving[state.name]
        oldest_s = 0.0 if state.oldest is None else state.oldest.total_seconds()
        gauges[of.QUEUE_OLDEST_AGE][queue] = max(gauges[of.QUEUE_OLDEST_AGE][queue], oldest_s)
        gauges[of.QUEUE_PAUSED][queue] = max(gauges[of.QUEUE_PAUSED][queue], float(state.limits.paused))
        if state.rate_used is not None:
            gauges[of.QUEUE_RATE_USED][queue] = max(gauges[of.QUEUE_RATE_USED][queue], state.rate_used)
    return {instrument: Series(numbers=dict(numbers)) for instrument, numbers in gauges.items()}


def recent_series(series: Mapping[Instrument, Series]) -> Mapping[Instrument, Series]:
    """Percentiles, averages and error rates of tools, of what has ended lately."""
    durations: dict[Labels, float] = {}
    averages: dict[Labels, float] = {}
    errors: dict[Labels, float] = {}
    for line in tool_lines(series):
        labels = (line.tool, line.version, line.pool)
        if line.error_rate is not None:
            errors[labels] = line.error_rate
        if line.durations.mean is not None:
            averages[labels] = line.durations.mean
        for share in _QUANTILES:
            percentile = line.durations.percentile(share)
            if percentile is not None:
                durations[*labels, f"{share:g}"] = percentile
    return {
        of.TOOL_RECENT_DURATION: Series(numbers=durations),
        of.TOOL_RECENT_AVERAGE: Series(numbers=averages),
        of.TOOL_RECENT_ERRORS: Series(numbers=errors),
    }


def feed_series(lags: Mapping[str, FeedLag], counts: Mapping[str, Mapping[str, int]]) -> Mapping[Instrument, Series]:
    """How far behind the feed its readers are, and what they have counted."""
    counted: dict[Labels, float] = {
        (group, kind): float(number)
        for group, kinds in counts.items()
        for kind, number in kinds.items()
        if kind not in _NOT_COUNTED
    }
    return {
        of.FEED_LAG: Series(numbers={(group,): lag.entries for group, lag in lags.items()}),
        of.FEED_LAG_AGE: Series(numbers={(group,): lag.age_s for group, lag in lags.items()}),
        of.FEED_COUNTS: Series(numbers=counted),
    }
