"""Histograms keep what they promise: adding up loses nothing, and percentiles are as close as stated."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.metrics.histogram import BASE, RELATIVE_ERROR, Histogram, bucket_of, upper_bound

#: From a nanosecond to three thousand years, in seconds; token counts are in there too.
POSITIVE = st.floats(1e-9, 1e11)
VALUES = st.lists(st.just(0.0) | POSITIVE | st.integers(1, 10_000_000).map(float), max_size=50)
ROUNDING = 1e-9


def exact_percentile(values: list[float], share: float) -> float:
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


@given(POSITIVE)
def test_a_value_lies_within_its_bucket(value: float) -> None:
    bucket = bucket_of(value)
    assert upper_bound(bucket - 1) * (1 - ROUNDING) < value <= upper_bound(bucket) * (1 + ROUNDING)


@pytest.mark.parametrize("exponent", range(-30, 31))
def test_powers_of_two_are_upper_bounds_exactly(exponent: int) -> None:
    power = math.ldexp(1.0, exponent)
    assert upper_bound(bucket_of(power)) == power
    assert bucket_of(math.nextafter(power, math.inf)) == bucket_of(power) + 1
    assert bucket_of(math.nextafter(power, 0)) == bucket_of(power)


@given(VALUES.filter(bool), st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0]))
def test_percentiles_are_as_close_as_stated(values: list[float], share: float) -> None:
    estimate = Histogram.of(*values).percentile(share)
    assert estimate is not None
    exact = exact_percentile(values, share)
    assert abs(estimate - exact) <= exact * (RELATIVE_ERROR + ROUNDING)


def test_the_stated_error_is_about_one_percent() -> None:
    assert 0.0108 < RELATIVE_ERROR < 0.0109
    assert pytest.approx(2) == BASE**32


@given(VALUES, VALUES, VALUES)
def test_adding_up_is_the_same_as_measuring_together_in_any_order(
    a: list[float], b: list[float], c: list[float]
) -> None:
    together = Histogram.of(*a, *b, *c)
    for added in (
        Histogram.of(*a) + Histogram.of(*b) + Histogram.of(*c),
        Histogram.of(*c) + (Histogram.of(*a) + Histogram.of(*b)),
    ):
        assert (added.counts, added.zeros, added.count) == (together.counts, together.zeros, together.count)
        assert added.total == pytest.approx(together.total)


@given(VALUES, st.integers(-10, 20))
def test_counts_up_to_powers_of_two_are_exact(values: list[float], exponent: int) -> None:
    assert Histogram.of(*values).at_most(exponent) == sum(value <= 2.0**exponent for value in values)


def test_nothing_has_no_average_and_no_percentile() -> None:
    assert (Histogram().mean, Histogram().percentile(0.5), Histogram().count) == (None, None, 0)
