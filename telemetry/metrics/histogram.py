"""Histograms that can be added up: percentiles over many processes, tools or hours stay as good as over one.

A value falls into the bucket `i` with `BASE**i < value <= BASE**(i + 1)`, so a histogram is nothing but counts by
integer. Adding two up is adding their counts, in any order, which Redis does with HINCRBY. Pure functions and values:
nothing here knows of Redis, or of what is measured.

The mapping is the one of OpenTelemetry's base-2 exponential histogram (metrics data model, "ExponentialHistogram") at a
fixed scale, so that it is exported without loss; powers of two are bounds of buckets, so that Prometheus's cumulative
buckets at powers of two are exact too. The estimate of a percentile is the one of DDSketch (Masson, Rim and Lee,
"DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019).
"""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["PER_DOUBLING", "RELATIVE_ERROR", "SCALE", "Histogram", "bucket_of", "upper_bound"]

SCALE: Final = 5
"""There are `2**SCALE` buckets between a number and its double."""

BASE: Final = 2.0 ** (2.0**-SCALE)

RELATIVE_ERROR: Final = (BASE - 1) / (BASE + 1)
"""By how much an estimated percentile is off at most, as a share of the exact one: 1.09 %."""

PER_DOUBLING: Final = 1 << SCALE

_MANTISSAS: Final = [0.5 * 2.0 ** (index / PER_DOUBLING) for index in range(PER_DOUBLING)]
"""Where buckets end between 0.5 and 1, which is where `frexp` puts the mantissa of every value."""


def bucket_of(value: float) -> int:
    """The bucket of a value greater than 0.

    Powers of two are exactly at the upper bound of theirs.
    """
    mantissa, exponent = math.frexp(value)  # value == mantissa * 2**exponent, 0.5 <= mantissa < 1
    return (exponent - 1) * PER_DOUBLING + bisect_left(_MANTISSAS, mantissa) - 1


def upper_bound(bucket: int) -> float:
    """The greatest value of a bucket."""
    doublings, within = divmod(bucket + 1, PER_DOUBLING)
    return math.ldexp(2.0 ** (within / PER_DOUBLING), doublings)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often values fell where.

    Attributes:
        counts: By bucket, of values greater than 0.
        zeros: How many values were 0 or less.
        total: Their sum, in whatever unit the values have.
    """

    counts: Mapping[int, int] = field(default_factory=dict)
    zeros: int = 0
    total: float = 0

    @classmethod
    def of(cls, *values: float) -> "Histogram":
        """The histogram of some values."""
        counts: dict[int, int] = {}
        zeros = 0
        for value in values:
            if value > 0:
                bucket = bucket_of(value)
                counts[bucket] = counts.get(bucket, 0) + 1
            else:
                zeros += 1
        return cls(counts, zeros, math.fsum(values))

    @property
    def count(self) -> int:
        """How many values there are."""
        return self.zeros + sum(self.counts.values())

    @property
    def mean(self) -> float | None:
        """Their exact average; None if there are none."""
        return self.total / self.count if self.count else None

    def __add__(self, other: "Histogram") -> "Histogram":
        counts = dict(self.counts)
        for bucket, number in other.counts.items():
            counts[bucket] = counts.get(bucket, 0) + number
        return Histogram(counts, self.zeros + other.zeros, self.total + other.total)

    def percentile(self, share: float) -> float | None:
        """The value that `share` of all values do not exceed, within `RELATIVE_ERROR` of an exact one.

        The exact one is the nearest-rank percentile: the smallest value of which at least `share` of all are not
        greater. None if there are no values.
        """
        rank = max(1, math.ceil(share * self.count))
        seen = self.zeros
        if self.count == 0:
            return None
        if rank <= seen:
            return 0.0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return upper_bound(bucket) * 2 / (BASE + 1)
        raise AssertionError("unreachable: the rank is at most the count")

    def at_most(self, exponent: int) -> int:
        """How many values are at most `2**exponent`, exactly."""
        last = exponent * PER_DOUBLING - 1
        return self.zeros + sum(number for bucket, number in self.counts.items() if bucket <= last)
