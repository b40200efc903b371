"""How the benchmarks judge starts under a limit."""

import pytest

from benchmarks.limit_accuracy import jain_index, rate_used, spacing_errors_ms, worst_excess

SECOND = 1_000_000


def every(step_us: int, count: int, start_us: int = 0) -> list[int]:
    return [start_us + step_us * number for number in range(count)]


def test_starts_at_the_rate_after_a_full_burst_are_just_within_the_limit() -> None:
    starts = [0] * 5 + every(SECOND // 10, 50, start_us=SECOND // 10)
    assert worst_excess(starts, rate=10, burst=5) == pytest.approx(0)


def test_the_worst_window_is_found_wherever_it_lies_and_however_short_it_is() -> None:
    calm = every(SECOND, 20)
    assert worst_excess(calm, rate=1, burst=1) == pytest.approx(0)
    assert worst_excess([*calm, 7 * SECOND, 7 * SECOND + 10], rate=1, burst=1) == pytest.approx(2, abs=0.001)


def test_order_does_not_matter_for_a_window() -> None:
    assert worst_excess([3, 1, 2], rate=1, burst=1) == worst_excess([1, 2, 3], rate=1, burst=1)


def test_the_rate_is_used_up_when_every_start_comes_in_time() -> None:
    assert rate_used([0, 0, *every(SECOND // 4, 40, start_us=SECOND // 4)], rate=4, burst=2) == pytest.approx(1)
    assert rate_used(every(SECOND // 2, 41), rate=4, burst=1) == pytest.approx(0.5)


def test_spacing_errors_are_what_each_start_is_off_its_place() -> None:
    assert spacing_errors_ms([0, 100_000, 205_000, 300_000], rate=10) == pytest.approx([0, 5, 5])


def test_jains_index_is_one_for_equal_shares_and_one_in_n_for_a_single_winner() -> None:
    assert jain_index([7, 7, 7]) == pytest.approx(1)
    assert jain_index([9, 0, 0]) == pytest.approx(1 / 3)
