"""How many processes a pool should have: within its bounds, following its demand, and calm."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.processes.pool_size import BUSY_SHARE, Bounds, Load, ScalingPolicy, next_size, size_for

STEP = timedelta(milliseconds=500)
demands = st.integers(0, 5_000)
slots = st.integers(1, 500)
sizes = st.integers(1, 40)
all_bounds = st.tuples(sizes, sizes).map(lambda pair: Bounds(min(pair), max(pair)))


def history(of: list[int], *, in_flight: int = 0) -> list[Load]:
    """Demands, half a second apart."""
    return [Load(at=number * STEP, runnable=demand, in_flight=in_flight) for number, demand in enumerate(of)]


def steady(demand: int) -> list[Load]:
    """The same demand for longer than both windows."""
    return history([demand] * 62)


def policy_of(slots: int) -> ScalingPolicy:
    return ScalingPolicy(slots=slots)


@given(st.lists(demands, max_size=66), sizes, all_bounds, slots)
def test_it_stays_within_its_bounds_and_never_more_than_doubles(
    demands: list[int], current: int, bounds: Bounds, slots: int
) -> None:
    size = next_size(history(demands), current=current, bounds=bounds, policy=policy_of(slots))
    assert bounds.fewest <= size <= bounds.most
    assert size <= max(2 * current, bounds.fewest)


@given(demands, sizes, all_bounds, slots)
def test_a_steady_demand_is_reached_and_then_left_alone(demand: int, start: int, bounds: Bounds, slots: int) -> None:
    seen = [start]
    for _ in range(12):
        seen.append(next_size(steady(demand), current=seen[-1], bounds=bounds, policy=policy_of(slots)))
    assert len(set(seen[-4:])) == 1
    moves = [after - before for before, after in pairwise(seen[1:])]
    assert all(move >= 0 for move in moves) or all(move <= 0 for move in moves)


@given(demands, sizes, slots)
def test_what_is_in_flight_always_has_its_slots(demand: int, start: int, slots: int) -> None:
    size = start
    for _ in range(14):
        size = next_size(steady(demand), current=size, bounds=Bounds(1, 10_000), policy=policy_of(slots))
    assert size * slots >= demand


@given(st.lists(demands, min_size=1, max_size=66), demands, sizes, slots)
def test_more_demand_never_means_fewer_processes(demands: list[int], more: int, current: int, slots: int) -> None:
    bounds, policy = Bounds(1, 10_000), policy_of(slots)
    raised = [demand + more for demand in demands]
    less, most = (next_size(history(of), current=current, bounds=bounds, policy=policy) for of in (demands, raised))
    assert less <= most


@given(st.lists(demands, min_size=1, max_size=66), sizes, slots)
def test_waiting_and_working_count_alike(demands: list[int], current: int, slots: int) -> None:
    waiting = history(demands)
    working = [Load(at=load.at, runnable=0, in_flight=load.runnable) for load in waiting]
    bounds, policy = Bounds(1, 50), policy_of(slots)
    assert next_size(waiting, current=current, bounds=bounds, policy=policy) == next_size(
        working, current=current, bounds=bounds, policy=policy
    )


def test_a_flicker_starts_nothing_and_a_short_calm_stops_nothing() -> None:
    bounds, policy = Bounds(1, 8), policy_of(8)
    assert next_size(history([0] * 60 + [100]), current=1, bounds=bounds, policy=policy) == 1
    assert next_size(history([0] * 60 + [100] * 5), current=1, bounds=bounds, policy=policy) == 2
    assert next_size(history([48] + [0] * 60), current=8, bounds=bounds, policy=policy) == 8
    assert next_size(history([48] + [0] * 61), current=8, bounds=bounds, policy=policy) == 1


def test_a_queue_that_only_waits_for_its_limit_needs_no_more_than_the_fewest() -> None:
    assert next_size(steady(0), current=4, bounds=Bounds(1, 8), policy=policy_of(8)) == 1


def test_nothing_known_changes_nothing() -> None:
    assert next_size([], current=3, bounds=Bounds(1, 8), policy=policy_of(8)) == 3


@given(demands, slots)
def test_the_size_keeps_the_share_of_slots_busy(demand: int, slots: int) -> None:
    size = size_for(demand, slots)
    assert (size - 1) * slots * BUSY_SHARE < demand or size == 0
    assert demand <= size * slots * BUSY_SHARE + 1e-6


@pytest.mark.parametrize("numbers", [(0, 1), (3, 2)])
def test_bounds_that_make_no_sense_are_refused(numbers: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1 process"):
        Bounds(*numbers)
