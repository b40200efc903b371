"""Limits of queues as data: how many messages may start a second, how many may be in flight, and who waits for whom.

They live in Redis, are changed while traffic runs, and are kept by the fetch script (`lua/fetch.lua`), not by workers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from messaging.command import Command, Word, pairs, whole
from messaging.errors import InvalidLimit
from messaging.script import load_script

_UNITS: Final = {"s": 1.0, "min": 60.0, "h": 3600.0}
_RATE: Final = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*/\s*(s|min|h)\s*$")
#: More than a Redis can hand out.
_HIGHEST_PER_S: Final = 100_000.0
_LOWEST_PER_S: Final = 1 / 86_400
_MOST: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many starts in so long."""

    per_s: float

    @classmethod
    def parse(cls, written: str) -> Self:
        """Reads a rate such as `50/s`, `300/min` or `1000/h`.

        Raises:
            InvalidLimit: It is no rate, or an absurd one.
        """
        match = _RATE.match(written)
        if match is None:
            raise InvalidLimit(f"rate: {written!r} is no rate; write one like 50/s, 300/min or 1000/h")
        per_s = float(match[1]) / _UNITS[match[2]]
        if per_s == 0:
            raise InvalidLimit("rate: nothing would ever start; pause the queue instead")
        if per_s > _HIGHEST_PER_S:
            raise InvalidLimit(f"rate: {written} is more than {_HIGHEST_PER_S:g}/s; leave the rate out for no limit")
        if per_s < _LOWEST_PER_S:
            raise InvalidLimit(f"rate: {written} is less than one a day; pause the queue instead")
        return cls(per_s)

    def __str__(self) -> str:
        for unit, seconds in _UNITS.items():
            if (number := self.per_s * seconds) >= 1 or unit == "h":
                return f"{number:g}/{unit}"
        raise AssertionError("unreachable")

    @property
    def step_us(self) -> int:
        """The time between two starts, microseconds."""
        return max(1, round(1e6 / self.per_s))


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What a queue may do. None is no limit."""

    rate: Rate | None = None
    burst: int = 1
    """How many may start at once after a quiet time. In any window W at most `rate * W + burst` start."""
    max_in_flight: int | None = None
    """How many may be in flight, over all processes."""
    paused: bool = False
    fair: bool = False
    """Whether tenants and priorities share the queue, instead of first come first served."""


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """What one tenant may do in a fair queue, or every tenant that has no limits of its own."""

    rate: Rate | None = None
    burst: int = 1
    max_in_flight: int | None = None
    weight: float = 1.0
    """Its share beside other tenants."""


def set_queue_limits(queue: str, limits: QueueLimits, *, only_first: bool = False) -> Command[int]:
    """Sets all limits of a queue; in effect for every worker's next fetch. Answers how many waiting workers were rung.

    With `only_first`, nothing is done if they have been set before.

    Raises:
        InvalidLimit: A limit is absurd; the message names it.
    """
    _check(limits.burst, limits.max_in_flight)
    rate = limits.rate
    words: list[Word] = [queue, "", int(only_first)]
    words += ("step_us", rate.step_us if rate else "", "tolerance_us", rate.step_us * limits.burst if rate else "")
    words += ("max_in_flight", "" if limits.max_in_flight is None else limits.max_in_flight)
    words += ("paused", 1 if limits.paused else "", "fair", 1 if limits.fair else "")
    return Command(load_script("messaging", "set_limits"), words, whole)


def pause_queue(queue: str, *, paused: bool) -> Command[int]:
    """Pauses or resumes a queue, and leaves its other limits as they are."""
    words = (queue, "", 0, "paused", 1 if paused else "")
    return Command(load_script("messaging", "set_limits"), words, whole)


def set_tenant_limits(
    queue: str, tenant: str, limits: TenantLimits | None, *, only_first: bool = False
) -> Command[int]:
    """Sets the limits of a tenant in a queue, or (`*`) of every tenant without its own; None takes them away.

    With `only_first`, nothing is done if they have been set before.

    Raises:
        InvalidLimit: A limit is absurd; the message names it.
    """
    value = ""
    if limits is not None:
        _check(limits.burst, limits.max_in_flight)
        if not 0.001 <= limits.weight <= 1000:
            raise InvalidLimit(f"weight: {limits.weight:g} is not between 0.001 and 1000")
        step = limits.rate.step_us if limits.rate else None
        most = limits.max_in_flight
        value = f"{step or ''}|{step * limits.burst if step else ''}|{'' if most is None else most}|{limits.weight:g}"
    return Command(load_script("messaging", "set_limits"), (queue, tenant, int(only_first), "limits", value), whole)


def read_queue_limits(namespace: str, queue: str) -> Command[QueueLimits]:
    """The limits of a queue."""

    def decode(answer: Any) -> QueueLimits:
        return limits_from_fields(pairs(answer))

    return Command(None, ("HGETALL", f"{namespace}:{queue}:limits"), decode)


def limits_from_fields(fields: Mapping[str, str]) -> QueueLimits:
    """The limits in a queue's hash."""
    rate, burst = None, 1
    if step := fields.get("step_us"):
        rate = Rate(1e6 / int(step))
        burst = round(int(fields["tolerance_us"]) / int(step))
    most = fields.get("max_in_flight")
    return QueueLimits(
        rate=rate,
        burst=burst,
        max_in_flight=None if most is None else int(most),
        paused=fields.get("paused") == "1",
        fair=fields.get("fair") == "1",
    )


def _check(burst: int, max_in_flight: int | None) -> None:
    for name, number in (("burst", burst), ("max in flight", max_in_flight)):
        if number is not None and number > _MOST:
            raise InvalidLimit(f"{name}: {number} is no limit; leave it out, the highest is {_MOST:,}")
    if burst < 1:
        raise InvalidLimit(f"burst: {burst} would let nothing start; the least is 1")
    if max_in_flight is not None and max_in_flight < 1:
        raise InvalidLimit(f"max in flight: {max_in_flight} would let nothing start; pause the queue instead")
