"""The metrics in the OpenTelemetry protocol: cumulative since the deployment's counting began. Pure, built directly.

They are the deployment's, not a process's, so their resource names no process: when another process is elected it goes
on with the same series. Histograms go out as exponential ones, just as they are kept.
"""

from collections.abc import Mapping
from typing import Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from telemetry.conventions import SCHEMA_URL, SCOPE_NAME
from telemetry.metrics.collecting import Collected
from telemetry.metrics.fields import Exemplar, Labels, Series
from telemetry.metrics.histogram import SCALE, Histogram
from telemetry.metrics.instruments import Instrument

__all__ = ["encode_metrics"]

_CUMULATIVE: Final = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE


def encode_metrics(collected: Collected, *, of: Resource, version: str) -> ExportMetricsServiceRequest:
    """A request that exports metrics.

    Args:
        collected: What is exported.
        of: The resource.
        version: Of Trunkline.
    """
    scoped = metrics_pb2.ScopeMetrics(
        scope=InstrumentationScope(name=SCOPE_NAME, version=version),
        metrics=[_metric(instrument, series, collected) for instrument, series in collected.series.items()],
        schema_url=SCHEMA_URL,
    )
    resource_metrics = metrics_pb2.ResourceMetrics(resource=of, scope_metrics=[scoped])
    return ExportMetricsServiceRequest(resource_metrics=[resource_metrics])


def _metric(instrument: Instrument, series: Series, collected: Collected) -> metrics_pb2.Metric:
    metric = metrics_pb2.Metric(name=instrument.name, description=instrument.description, unit=instrument.unit)
    since_ns, at_ns = collected.since_us * 1000, collected.at_us * 1000
    match instrument.kind:
        case "histogram":
            points = [
                _histogram_point(
                    histogram,
                    attributes=_attributes(instrument, labels),
                    exemplars=collected.exemplars.get((instrument, labels), {}),
                    since_ns=since_ns,
                    at_ns=at_ns,
                )
                for labels, histogram in series.histograms.items()
            ]
            kept = metrics_pb2.ExponentialHistogram(data_points=points, aggregation_temporality=_CUMULATIVE)
            metric.exponential_histogram.CopyFrom(kept)
        case "counter":
            numbers = _number_points(instrument, series, since_ns=since_ns, at_ns=at_ns)
            total = metrics_pb2.Sum(data_points=numbers, aggregation_temporality=_CUMULATIVE, is_monotonic=True)
            metric.sum.CopyFrom(total)
        case "gauge":
            numbers = _number_points(instrument, series, since_ns=0, at_ns=at_ns)
            metric.gauge.CopyFrom(metrics_pb2.Gauge(data_points=numbers))
    return metric


def _number_points(
    instrument: Instrument, series: Series, *, since_ns: int, at_ns: int
) -> list[metrics_pb2.NumberDataPoint]:
    return [
        metrics_pb2.NumberDataPoint(
            attributes=_attributes(instrument, labels),
            start_time_unix_nano=since_ns,
            time_unix_nano=at_ns,
            as_double=number,
        )
        for labels, number in series.numbers.items()
    ]


def _histogram_point(
    histogram: Histogram,
    *,
    attributes: list[KeyValue],
    exemplars: Mapping[int, Exemplar],
    since_ns: int,
    at_ns: int,
) -> metrics_pb2.ExponentialHistogramDataPoint:
    first, last = min(histogram.counts, default=0), max(histogram.counts, default=-1)
    counts = [histogram.counts.get(bucket, 0) for bucket in range(first, last + 1)]
    return metrics_pb2.ExponentialHistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=since_ns,
        time_unix_nano=at_ns,
        count=histogram.count,
        sum=histogram.total,
        scale=SCALE,
        zero_count=histogram.zeros,
        positive=metrics_pb2.ExponentialHistogramDataPoint.Buckets(offset=first, bucket_counts=counts),
        exemplars=[_exemplar(exemplar) for exemplar in exemplars.values()],
    )


def _exemplar(exemplar: Exemplar) -> metrics_pb2.Exemplar:
    return metrics_pb2.Exemplar(
        time_unix_nano=exemplar.at_us * 1000,
        as_double=exemplar.value,
        trace_id=bytes.fromhex(exemplar.trace_id),
        span_id=bytes.fromhex(exemplar.span_id),
    )


def _attributes(instrument: Instrument, labels: Labels) -> list[KeyValue]:
    return [
        KeyValue(key=label, value=AnyValue(string_value=value))
        for label, value in zip(instrument.labels, labels, strict=True)
        if value
    ]
