"""How many processes a pool should have: one pure decision, from what its queue could use now.

The signal is `demand`: messages that could start now plus messages in flight, so slots that could be busy. What waits
for a limit, a place or the end of a pause is no demand, since more processes would only wait with it. What is in flight
is, since a process that works is needed. The KEDA manifests in `deploy/kubernetes` scale by the same sum, divided by
the same share of a pod's slots; the two windows work as those of a Kubernetes HorizontalPodAutoscaler do.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

__all__ = ["BUSY_SHARE", "DEFAULT_MOST", "Bounds", "Load", "ScalingPolicy", "next_size", "size_for"]

#: The share of a pool's slots that should be busy: what is left takes a burst while new processes start.
BUSY_SHARE: Final = 0.75
#: A pool whose bounds nobody has given grows to so many processes.
DEFAULT_MOST: Final = 4
#: A pool whose demand is this close to what it has been sized for is left alone.
_TOLERANCE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Load:
    """What a queue could use at one moment."""

    at: timedelta
    """By any clock that only goes forward."""
    runnable: int
    in_flight: int

    @property
    def demand(self) -> int:
        """How many slots could be busy."""
        return self.runnable + self.in_flight


@dataclass(frozen=True, slots=True)
class Bounds:
    """The fewest and the most processes of a pool. At least one: a pool without processes offers no tools."""

    fewest: int
    most: int

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.most:
            raise ValueError(f"a pool has at least 1 process and at most no fewer, not {self.fewest} to {self.most}")

    def __str__(self) -> str:
        return str(self.most) if self.fewest == self.most else f"{self.fewest}-{self.most}"


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """How eagerly a pool follows its demand."""

    slots: int
    """How many messages one process holds in flight."""
    up_after: timedelta = timedelta(seconds=2)
    """It grows to what all of this time would have needed, so that a flicker starts nothing."""
    down_after: timedelta = timedelta(seconds=30)
    """It shrinks to what the busiest moment of this time would have needed."""


def size_for(demand: int, slots: int) -> int:
    """How many processes keep `BUSY_SHARE` of their slots busy with `demand`."""
    return math.ceil(demand / (slots * BUSY_SHARE))


def next_size(loads: Sequence[Load], *, current: int, bounds: Bounds, policy: ScalingPolicy) -> int:
    """How many processes a pool should have now.

    Args:
        loads: What its queue could use, oldest first, for at least the longer of the policy's windows.
        current: How many it has.
        bounds: It stays within them.
        policy: Of the pool.
    """
    wanted = current
    if loads and not _fits(loads[-1].demand, current, policy.slots):
        at_least = min(_sizes(loads, policy.up_after, policy.slots))
        at_most = max(_sizes(loads, policy.down_after, policy.slots))
        wanted = min(max(current, at_least), at_most)
    # Doubling at most: starting a process costs what it is started for.
    return max(bounds.fewest, min(wanted, 2 * current, bounds.most))


def _fits(demand: int, current: int, slots: int) -> bool:
    return abs(demand / (current * slots * BUSY_SHARE) - 1) <= _TOLERANCE if current else False


def _sizes(loads: Sequence[Load], window: timedelta, slots: int) -> list[int]:
    since = loads[-1].at - window
    return [size_for(load.demand, slots) for load in loads if load.at >= since]
