"""How measurements become integers that Redis adds up, and how such integers become metrics again. Pure.

A hash holds a number per series and part: the field `<metric> <labels…> <part>`, with a separator that no label has. A
counter has the part `n`; a histogram has `sum`, `zero`, and a part per bucket.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from schemas.trace_ids import attempt_span_id, job_span_id
from telemetry.metrics.histogram import PER_DOUBLING, Histogram, bucket_of
from telemetry.metrics.instruments import INSTRUMENTS, Instrument
from telemetry.metrics.measurements import Measurement

__all__ = [
    "HOURS_KEPT",
    "MINUTES_KEPT",
    "TOTALS",
    "Additions",
    "Exemplar",
    "Labels",
    "Series",
    "SeriesSum",
    "additions_of",
    "hashes_since",
    "hour_hash",
    "minute_hash",
    "read_exemplars",
    "read_series",
    "sum_up",
]

TOTALS: Final = "totals"
MINUTES_KEPT: Final = timedelta(hours=3)
HOURS_KEPT: Final = timedelta(days=14)

Labels = tuple[str, ...]

_SEPARATOR: Final = "\x1f"
_BY_NAME: Final = {instrument.name: instrument for instrument in INSTRUMENTS}
_MINUTE_S: Final = 60
_MINUTE_US: Final = 60_000_000
_HOUR_S: Final = 3600


def minute_hash(at_s: float) -> str:
    """The hash of a minute, by seconds since 1970."""
    return f"minute:{int(at_s // _MINUTE_S)}"


def hour_hash(at_s: float) -> str:
    """The hash of an hour."""
    return f"hour:{int(at_s // _HOUR_S)}"


def hashes_since(moment_s: float, *, now_s: float) -> tuple[Sequence[str], int]:
    """The hashes that hold what has happened since `moment_s`, and since when they really do, both s since 1970.

    By the minute for the last three hours, else by the hour; the first one begins at the moment or before it.
    """
    by_minute = now_s - moment_s < MINUTES_KEPT.total_seconds()
    step_s, name = (_MINUTE_S, minute_hash) if by_minute else (_HOUR_S, hour_hash)
    oldest_s = now_s - (MINUTES_KEPT if by_minute else HOURS_KEPT).total_seconds()
    first_s = int(max(moment_s, oldest_s) // step_s * step_s)
    return [name(at_s) for at_s in range(first_s, int(now_s) + 1, step_s)], first_s


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One value of a bucket, and the span that shows it."""

    trace_id: str
    span_id: str
    value: float
    at_us: int


@dataclass(slots=True)
class SeriesSum:
    """What some measurements of one series come to, those of one minute if it is kept by time.

    Attributes:
        instrument: The metric.
        labels: The values of its labels.
        minute: Since 1970; None if it is not kept by time.
        total: The sum of the values, in the integers that are kept.
        counts: Of a histogram, how many values fell into which bucket; None is the one of 0.
        latest: Of a histogram, the last measurement that a trace shows, by the exponent of the smallest power of two
            that its bucket does not exceed: each of these bounds has an exemplar.
    """

    instrument: Instrument
    labels: Labels
    minute: int | None
    total: int = 0
    counts: dict[int | None, int] = field(default_factory=dict)
    latest: dict[int, Measurement] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.instrument.labels):
            raise ValueError(f"{self.instrument.name} has the labels {self.instrument.labels}, got {self.labels}")


@dataclass(frozen=True, slots=True)
class Additions:
    """What measurements add.

    Attributes:
        by_hash: Per hash and field, by how much.
        expires_s: When hashes expire, s since 1970; those that are not here never do.
        exemplars: Per field.
    """

    by_hash: Mapping[str, Mapping[str, int]]
    expires_s: Mapping[str, int]
    exemplars: Mapping[str, str]


@dataclass(slots=True)
class Series:
    """The series of one metric, by their labels.

    Attributes:
        numbers: Of a counter, in its unit.
        histograms: Of a histogram, values and sums in its unit.
    """

    numbers: dict[Labels, float] = field(default_factory=dict)
    histograms: dict[Labels, Histogram] = field(default_factory=dict)


def sum_up(measurements: Iterable[Measurement]) -> Sequence[SeriesSum]:
    """What measurements come to: many of them are of few series."""
    sums: dict[tuple[Instrument, Labels, int | None], SeriesSum] = {}
    for measurement in measurements:
        instrument, labels, value = measurement.instrument, measurement.labels, measurement.value
        minute = measurement.at_us // _MINUTE_US if instrument.is_kept_by_time else None
        series = sums.get((instrument, labels, minute))
        if series is None:
            series = sums[instrument, labels, minute] = SeriesSum(instrument, labels, minute)
        series.total += round(value * instrument.per_unit)
        if instrument.kind == "histogram":
            bucket = bucket_of(value) if value > 0 else None
            counts = series.counts
            counts[bucket] = counts.get(bucket, 0) + 1
            if measurement.span is not None and bucket is not None:
                series.latest[-(-(bucket + 1) // PER_DOUBLING)] = measurement
    return list(sums.values())


def additions_of(sums: Iterable[SeriesSum]) -> Additions:
    """What to add for some sums, in one go; a series may be there more than once."""
    totals: dict[str, int] = defaultdict(int)
    by_hash: dict[str, dict[str, int]] = {TOTALS: totals}
    expires_s: dict[str, int] = {}
    exemplars: dict[str, str] = {}
    for series in sums:
        prefix = _field(series.instrument, series.labels, "")
        hashes = [totals]
        if series.minute is not None:
            hashes += _of_its_time(series.minute * _MINUTE_S, by_hash, expires_s)
        for one in hashes:
            one[f"{prefix}{'n' if series.instrument.kind == 'counter' else 'sum'}"] += series.total
            for bucket, number in series.counts.items():
                one[f"{prefix}{'zero' if bucket is None else bucket}"] += number
        exemplars |= {f"{prefix}{bound}": _shown(one) for bound, one in series.latest.items()}
    return Additions(by_hash, expires_s, exemplars)


def _of_its_time(
    at_s: int, by_hash: dict[str, dict[str, int]], expires_s: dict[str, int]
) -> tuple[dict[str, int], dict[str, int]]:
    """The hashes of a minute and an hour; made, and told when they expire, if they are new."""
    minute, hour = minute_hash(at_s), hour_hash(at_s)
    if minute not in by_hash:
        by_hash[minute] = defaultdict(int)
        expires_s[minute] = (at_s // _MINUTE_S + 1) * _MINUTE_S + round(MINUTES_KEPT.total_seconds())
    if hour not in by_hash:
        by_hash[hour] = defaultdict(int)
        expires_s[hour] = (at_s // _HOUR_S + 1) * _HOUR_S + round(HOURS_KEPT.total_seconds())
    return by_hash[minute], by_hash[hour]


def _shown(measurement: Measurement) -> str:
    assert measurement.span is not None
    trace_id, id, attempt = measurement.span
    span_id = job_span_id(id) if attempt is None else attempt_span_id(id, attempt)
    return _SEPARATOR.join((trace_id, span_id, repr(measurement.value), str(measurement.at_us)))


def read_series(hashes: Iterable[Mapping[str, int]]) -> Mapping[Instrument, Series]:
    """The metrics that some hashes come to together. Fields of metrics that this version does not know are left out."""
    numbers: dict[Instrument, dict[Labels, int]] = defaultdict(lambda: defaultdict(int))
    parts: dict[Instrument, dict[Labels, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for one in hashes:
        for name, number in one.items():
            place = _place(name)
            if place is None:
                continue
            instrument, labels, part = place
            if instrument.kind == "counter":
                numbers[instrument][labels] += number
            else:
                parts[instrument][labels][part] += number
    result = {
        instrument: Series(numbers={labels: number / instrument.per_unit for labels, number in series.items()})
        for instrument, series in numbers.items()
    }
    for instrument, histograms in parts.items():
        result[instrument] = Series(
            histograms={labels: _histogram(instrument, counts) for labels, counts in histograms.items()}
        )
    return result


def read_exemplars(fields: Mapping[str, str]) -> Mapping[tuple[Instrument, Labels], Mapping[int, Exemplar]]:
    """The exemplars of series, each by the exponent of its bucket's bound."""
    exemplars: dict[tuple[Instrument, Labels], dict[int, Exemplar]] = defaultdict(dict)
    for name, shown in fields.items():
        place = _place(name)
        if place is None:
            continue
        instrument, labels, bound = place
        trace_id, span_id, value, at_us = shown.split(_SEPARATOR)
        exemplars[instrument, labels][int(bound)] = Exemplar(trace_id, span_id, float(value), int(at_us))
    return exemplars


def _field(instrument: Instrument, labels: Labels, part: str) -> str:
    return _SEPARATOR.join((instrument.name, *labels, part))


def _place(name: str) -> tuple[Instrument, Labels, str] | None:
    instrument_name, *labels, part = name.split(_SEPARATOR)
    instrument = _BY_NAME.get(instrument_name)
    if instrument is None or len(labels) != len(instrument.labels):
        return None
    return instrument, tuple(labels), part


def _histogram(instrument: Instrument, parts: Mapping[str, int]) -> Histogram:
    counts = {int(part): number for part, number in parts.items() if part not in ("sum", "zero")}
    return Histogram(counts, parts.get("zero", 0), parts.get("sum", 0) / instrument.per_unit)
