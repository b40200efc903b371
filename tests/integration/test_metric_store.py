"""Metrics in Redis: added once per entry of the feed, however often they are sent; kept by time; read back."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import pytest
import redis

from messaging.command import Command
from messaging.command_runner import BlockingRunner
from schemas.trace_ids import attempt_span_id, job_span_id
from telemetry.metrics.fields import (
    HOURS_KEPT,
    MINUTES_KEPT,
    additions_of,
    hour_hash,
    minute_hash,
    read_exemplars,
    read_series,
    sum_up,
)
from telemetry.metrics.histogram import Histogram
from telemetry.metrics.instruments import TOKENS, TOOL_DURATION
from telemetry.metrics.measurements import MeasuredSpan, Measurement
from telemetry.metrics.store import admit_labels, apply_metrics, read_hashes, read_metrics

T = TypeVar("T")
NS = "{trunkline}"
GROUP = "telemetry"
TOOL = ("search", "1.0.0", "web")
AT_US = 1_800_000_000_000_000
"""A full hour."""


class Store:
    """A feed with entries, and readers that hold them."""

    def __init__(self, client: "redis.Redis") -> None:
        self.redis = client
        client.xgroup_create(f"{NS}:feed", GROUP, id="0", mkstream=True)

    def run(self, command: Command[T]) -> T:
        return BlockingRunner(self.redis, namespace=NS).run(command)

    def deliver(self, reader: str, number: int = 1) -> list[str]:
        """New entries that a reader holds; answers their ids."""
        for _ in range(number):
            self.redis.xadd(f"{NS}:feed", {"job": "job_a_1"})
        answer: Any = self.redis.xreadgroup(GROUP, reader, {f"{NS}:feed": ">"})
        return [id.decode() for id, _ in answer[0][1]]

    def apply(self, reader: str, ids: Sequence[str], *measurements: Measurement) -> bool:
        return self.run(apply_metrics(GROUP, reader, ids, additions_of(sum_up(measurements))))

    def tool_durations(self) -> Histogram:
        totals = self.run(read_metrics()).totals
        return read_series([totals])[TOOL_DURATION].histograms[TOOL]


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    with redis.Redis.from_url(redis_url) as client:
        yield Store(client)


def ran(seconds: float, *, at_us: int = AT_US, span: MeasuredSpan | None = None) -> Measurement:
    return Measurement(TOOL_DURATION, TOOL, seconds, at_us, span)


def used(tokens: int, *, tenant: str = "acme") -> Measurement:
    return Measurement(TOKENS, ("gpt", tenant, "input"), tokens, AT_US)


def test_what_went_in_comes_back(store: Store) -> None:
    ids = store.deliver("a", 2)
    assert store.apply("a", ids, ran(0.25), ran(3.0), ran(0.0), used(7), used(5), used(1, tenant="beta"))
    stored = store.run(read_metrics())
    series = read_series([stored.totals])
    assert series[TOKENS].numbers == {("gpt", "acme", "input"): 12, ("gpt", "beta", "input"): 1}
    assert series[TOOL_DURATION].histograms[TOOL] == Histogram.of(0.25, 3.0, 0.0)
    seconds, _ = store.redis.time()
    assert stored.since_us is not None
    assert abs(stored.since_us / 1e6 - seconds) < 60


def test_an_entry_that_is_applied_again_adds_nothing(store: Store) -> None:
    ids = store.deliver("a")
    assert store.apply("a", ids, used(7))
    assert not store.apply("a", ids, used(7))
    assert store.redis.xpending(f"{NS}:feed", GROUP)["pending"] == 0
    assert read_series([store.run(read_metrics()).totals])[TOKENS].numbers == {("gpt", "acme", "input"): 7}


def test_a_batch_of_which_another_reader_has_taken_one_entry_changes_nothing(store: Store) -> None:
    mine = store.deliver("a", 3)
    store.redis.xclaim(f"{NS}:feed", GROUP, "b", 0, [mine[1]])
    assert not store.apply("a", mine, used(7))
    assert store.run(read_metrics()).totals == {}
    assert store.redis.xpending(f"{NS}:feed", GROUP)["pending"] == 3
    assert store.apply("b", [mine[1]], used(1))
    assert store.apply("a", [mine[0], mine[2]], used(2))
    assert read_series([store.run(read_metrics()).totals])[TOKENS].numbers == {("gpt", "acme", "input"): 3}


def test_a_key_of_another_type_stops_it_before_anything_is_written(store: Store) -> None:
    ids = store.deliver("a")
    store.redis.set(f"{NS}:metrics:{hour_hash(AT_US / 1e6)}", "in the way")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        store.apply("a", ids, used(7))
    assert store.run(read_metrics()).totals == {}
    assert store.redis.xpending(f"{NS}:feed", GROUP)["pending"] == 1


def test_readers_add_up_to_one_histogram(store: Store) -> None:
    values = {"a": [0.001, 0.5, 0.5], "b": [2.0, 0.5], "c": [40.0]}
    for reader, seconds in values.items():
        for second in seconds:
            assert store.apply(reader, store.deliver(reader), ran(second))
    assert store.tool_durations() == Histogram.of(*values["a"], *values["b"], *values["c"])


def test_what_is_kept_by_time_is_there_per_minute_and_hour_and_expires(store: Store) -> None:
    now_s, _ = store.redis.time()
    hour_s = now_s // 3600 * 3600
    at_s = [hour_s + 30, hour_s + 90]
    store.apply("a", store.deliver("a"), *(ran(1.0, at_us=moment * 1_000_000) for moment in at_s))
    names = [minute_hash(at_s[0]), minute_hash(at_s[1]), hour_hash(hour_s)]
    first, second, hour = (read_series([one]) for one in store.run(read_hashes(names)))
    assert first[TOOL_DURATION].histograms[TOOL] == second[TOOL_DURATION].histograms[TOOL] == Histogram.of(1.0)
    assert hour[TOOL_DURATION].histograms[TOOL] == Histogram.of(1.0, 1.0)
    for name, kept in zip(names, (MINUTES_KEPT, MINUTES_KEPT, HOURS_KEPT), strict=True):
        expires_s = store.redis.execute_command("EXPIRETIME", f"{NS}:metrics:{name}")  # type: ignore[no-untyped-call]
        assert kept <= timedelta(seconds=expires_s - hour_s) <= kept + timedelta(hours=1)


def test_what_is_too_old_to_be_kept_by_time_counts_all_the_same(store: Store) -> None:
    store.apply("a", store.deliver("a"), ran(1.0, at_us=1_000_000))
    assert store.run(read_hashes([hour_hash(1)])) == [{}]
    assert store.tool_durations().count == 1


def test_the_latest_exemplar_of_a_bucket_is_kept(store: Store) -> None:
    spans = [("a" * 32, "job_a_1/1", 1), ("b" * 32, "job_a_1/2", 3), ("c" * 32, "job_a_1", None)]
    measured = [ran(seconds, span=span) for seconds, span in zip((3.0, 4.0, 4.5), spans, strict=True)]
    store.apply("a", store.deliver("a"), *measured)
    exemplars = read_exemplars(store.run(read_metrics()).exemplars)[TOOL_DURATION, TOOL]
    assert {bound: (shown.trace_id, shown.span_id, shown.value) for bound, shown in exemplars.items()} == {
        2: ("b" * 32, attempt_span_id("job_a_1/2", 3), 4.0),
        3: ("c" * 32, job_span_id("job_a_1"), 4.5),
    }


def test_a_label_has_no_more_values_than_it_may(store: Store) -> None:
    assert store.run(admit_labels("tenant", ["a", "b"], most=3)) == {"a", "b"}
    assert store.run(admit_labels("tenant", ["b", "c", "d"], most=3)) == {"b", "c"}
    assert store.run(admit_labels("tenant", ["d", "a"], most=3)) == {"a"}
