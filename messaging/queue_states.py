"""How queues stand: what waits, what could start now, what is in flight, scheduled or dead, and under which limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from messaging.command import Command, pairs, text
from messaging.limits import QueueLimits, limits_from_fields
from messaging.script import load_script

_STARTS_WINDOW_S = 5


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue at one moment."""

    name: str
    waiting: int
    runnable: int
    """How many of the waiting ones the queue's own limits would let start now."""
    in_flight: int
    scheduled: int
    dead: int
    oldest: timedelta | None
    """How long the message at the head has waited; None if nothing waits."""
    limits: QueueLimits
    starts_per_s: float | None
    """Over the last five seconds; counted only where there is a rate."""

    @property
    def throttled(self) -> int:
        """How many wait because of the queue's limits."""
        return self.waiting - self.runnable

    @property
    def rate_used(self) -> float | None:
        """The share of the rate that is used, over the last five seconds."""
        if self.limits.rate is None or self.starts_per_s is None:
            return None
        return self.starts_per_s / self.limits.rate.per_s


def read_queue_states() -> Command[Sequence[QueueState]]:
    """All queues that somebody serves or has served, by name."""

    def decode(answer: list[Any]) -> Sequence[QueueState]:
        now_us = int(answer[0])
        return [_state(now_us, *answer[i : i + 9]) for i in range(1, len(answer), 9)]

    return Command(load_script("messaging", "queue_states"), (), decode)


def _state(
    now_us: int,
    name: bytes,
    waiting: int,
    in_flight: int,
    scheduled: int,
    dead: int,
    runnable: int,
    oldest_us: bytes,
    starts: int,
    limits: list[bytes],
) -> QueueState:
    parsed = limits_from_fields(pairs(limits))
    return QueueState(
        name=text(name),
        waiting=waiting,
        runnable=runnable,
        in_flight=in_flight,
        scheduled=scheduled,
        dead=dead,
        oldest=timedelta(microseconds=max(0, now_us - int(oldest_us))) if oldest_us else None,
        limits=parsed,
        starts_per_s=starts / _STARTS_WINDOW_S if parsed.rate else None,
    )
