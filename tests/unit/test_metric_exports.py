"""What Prometheus and OTLP are given says the same as what was measured."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from messaging.limits import QueueLimits, Rate
from messaging.queue_states import QueueState
from telemetry.metrics import instruments as of
from telemetry.metrics.collecting import Collected, queue_series, recent_series
from telemetry.metrics.fields import Exemplar, Series
from telemetry.metrics.histogram import Histogram, upper_bound
from telemetry.metrics.instruments import INSTRUMENTS, Instrument, exported_names, prometheus_label, prometheus_name
from telemetry.metrics.label_gate import MOST_VALUES
from telemetry.metrics.otlp_metrics import encode_metrics
from telemetry.metrics.prometheus import families
from telemetry.traces.otlp_encoding import resource

TOOL = ("search", "1.0.0", "web")
TRACE, SPAN = "ab" * 16, "cd" * 8
SECONDS = (0.0, 0.0004, 0.02, 0.03, 3.0, 4.0, 40_000.0)
COLLECTED = Collected(
    series={
        of.TOOL_DURATION: Series(histograms={TOOL: Histogram.of(*SECONDS)}),
        of.TOOL_CALLS: Series(numbers={(*TOOL, "succeeded"): 7.0, (*TOOL, 'fai"led\\n'): 2.0}),
        of.QUEUE_DEPTH: Series(numbers={("web",): 3.0}),
    },
    exemplars={
        (of.TOOL_DURATION, TOOL): {
            -11: Exemplar(TRACE, SPAN, 0.0004, 1_800_000_000_000_000),
            2: Exemplar(TRACE, SPAN, 4.0, 1_800_000_000_000_000),
            16: Exemplar(TRACE, SPAN, 40_000.0, 1_800_000_000_000_000),
        }
    },
    since_us=1_700_000_000_000_000,
    at_us=1_800_000_000_000_000,
)


class Families(Collector):
    def __init__(self, collected: Collected | None) -> None:
        self._collected = collected

    def collect(self) -> Iterable[Metric]:
        return families(self._collected)


def test_prometheus_reads_exact_buckets() -> None:
    text = generate_latest(Families(COLLECTED)).decode()
    samples = [sample for family in parse_text(text) for sample in family.samples]
    buckets = {
        float(sample.labels["le"]): sample.value
        for sample in samples
        if sample.name == "trunkline_tool_duration_seconds_bucket"
    }
    assert buckets == {bound: sum(value <= bound for value in SECONDS) for bound in buckets}
    assert len(buckets) == 26
    (count,) = (sample.value for sample in samples if sample.name == "trunkline_tool_duration_seconds_count")
    (total,) = (sample.value for sample in samples if sample.name == "trunkline_tool_duration_seconds_sum")
    assert count == len(SECONDS)
    assert total == pytest.approx(sum(SECONDS))
    calls = [sample for sample in samples if sample.name == "trunkline_tool_calls_total"]
    assert [(call.labels["call_outcome"], call.value) for call in calls] == [("succeeded", 7), ('fai"led\\n', 2)]


def test_slow_buckets_link_to_a_trace_in_openmetrics() -> None:
    text = generate_openmetrics(Families(COLLECTED)).decode()  # type: ignore[no-untyped-call]  # not ours
    samples = [sample for family in _families_of(text) for sample in family.samples]
    linked = {sample.labels["le"]: sample.exemplar for sample in samples if sample.exemplar is not None}
    assert set(linked) == {"0.0009765625", "4.0", "+Inf"}
    assert linked["4.0"].labels == {"trace_id": TRACE, "span_id": SPAN}
    assert [exemplar.value for exemplar in linked.values()] == [0.0004, 4.0, 40_000.0]


def test_a_process_that_was_not_elected_only_says_so() -> None:
    assert [family.name for family in families(None)] == ["trunkline_telemetry_leader"]
    assert generate_latest(Families(None)).decode().endswith("trunkline_telemetry_leader 0.0\n")


def test_otlp_gets_exponential_histograms_as_they_are_kept() -> None:
    request = encode_metrics(COLLECTED, of=resource({"service.name": "trunkline"}), version="1")
    metrics = {metric.name: metric for metric in request.resource_metrics[0].scope_metrics[0].metrics}
    assert metrics.keys() == {"trunkline.tool.duration", "trunkline.tool.calls", "trunkline.queue.depth"}
    (point,) = metrics["trunkline.tool.duration"].exponential_histogram.data_points
    assert (point.count, point.zero_count, point.scale) == (7, 1, 5)
    assert point.sum == pytest.approx(sum(SECONDS))
    assert point.start_time_unix_nano == 1_700_000_000_000_000_000
    assert not point.HasField("min")
    bounds = [
        upper_bound(point.positive.offset + index)
        for index, number in enumerate(point.positive.bucket_counts)
        for _ in range(number)
    ]
    assert bounds == [pytest.approx(value, rel=0.022) for value in SECONDS[1:]]
    assert {exemplar.trace_id.hex() for exemplar in point.exemplars} == {TRACE}
    calls = metrics["trunkline.tool.calls"].sum
    assert calls.is_monotonic
    attributes = {each.key: each.value.string_value for each in calls.data_points[0].attributes}
    assert attributes == {
        "gen_ai.tool.name": "search",
        "trunkline.tool.version": "1.0.0",
        "trunkline.pool": "web",
        "trunkline.call.outcome": "succeeded",
    }


def test_names_are_told_apart_in_prometheus() -> None:
    names = [name for instrument in INSTRUMENTS for name in exported_names(instrument)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    for instrument in INSTRUMENTS:
        labels = [prometheus_label(label) for label in instrument.labels]
        assert len(set(labels)) == len(labels)
        assert not {"le", "quantile"} & set(labels) or instrument is of.TOOL_RECENT_DURATION


def test_labels_that_upstream_systems_choose_are_bounded() -> None:
    chosen = {of.TENANT, of.MODEL, of.AGENT, of.TOOL, of.VERSION, of.POOL, of.QUEUE, of.DESTINATION}
    assert chosen == MOST_VALUES.keys()


def row(instrument: Instrument) -> str:
    labels = ", ".join(f"`{prometheus_label(label)}`" for label in instrument.labels)
    names = f"`{instrument.name}` | `{prometheus_name(instrument)}`"
    return f"| {names} | {instrument.kind} | {labels} | {instrument.description} |"


def test_the_documentation_has_every_metric_as_it_is() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8").splitlines()
    assert [line for line in lines if re.match(r"\| `\w+\.", line)] == [row(instrument) for instrument in INSTRUMENTS]


def queue(name: str, *, waiting: int = 0, limits: QueueLimits | None = None, starts: float | None = None) -> QueueState:
    return QueueState(
        name=name,
        waiting=waiting,
        runnable=min(waiting, 2),
        in_flight=1,
        scheduled=0,
        dead=0,
        oldest=None,
        limits=limits or QueueLimits(),
        starts_per_s=starts,
    )


def test_queues_have_gauges_and_reply_queues_are_one() -> None:
    states = [
        queue("reply.one", waiting=2),
        queue("reply.two", waiting=5),
        queue("web", waiting=9, limits=QueueLimits(rate=Rate(4.0), paused=True), starts=1.0),
    ]
    series = queue_series(states, [{"queues": ["web"]}, {"queues": ["web", "other"]}])
    assert series[of.QUEUE_DEPTH].numbers == {("reply.*",): 7, ("web",): 9}
    assert series[of.QUEUE_THROTTLED].numbers["web",] == 7
    assert series[of.QUEUE_RATE_USED].numbers == {("web",): 0.25}
    assert series[of.QUEUE_PAUSED].numbers["web",] == 1
    assert series[of.QUEUE_WORKERS].numbers["web",] == 2


def test_recent_percentiles_are_those_of_the_histogram() -> None:
    histogram = Histogram.of(*(number / 100 for number in range(1, 101)))
    series = recent_series(
        {
            of.TOOL_DURATION: Series(histograms={TOOL: histogram}),
            of.TOOL_CALLS: Series(numbers={(*TOOL, "succeeded"): 90, (*TOOL, "failed"): 6, (*TOOL, "cancelled"): 4}),
        }
    )
    assert series[of.TOOL_RECENT_DURATION].numbers == {
        (*TOOL, "0.5"): pytest.approx(0.5, rel=0.011),
        (*TOOL, "0.95"): pytest.approx(0.95, rel=0.011),
        (*TOOL, "0.99"): pytest.approx(0.99, rel=0.011),
    }
    assert series[of.TOOL_RECENT_ERRORS].numbers == {TOOL: 0.06}


def _families_of(text: str) -> Iterable[Metric]:
    families: Iterable[Metric] = parse_openmetrics(text)  # type: ignore[no-untyped-call]  # not ours
    return families
