"""What jobs of the chaos are about: orders, each a number from which everything follows that its model will say.

So whoever asks the model again, in the same turn of the same order, hears the same. Only the weather changes: whether
the endpoint refuses everybody just now.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tests.scenarios.endpoint import DROPPED, Reply, Request, ask, call, refuse, say, truncated

_TOOLS: Final = ("read", "repeat", "pay", "read_on_a_thread", "pay_on_a_thread")
_LONGEST_DEED_S: Final = 0.3
_LONGEST_THOUGHT_S: Final = 0.4
#: Of each thousand model calls, how many are hung up on, and how many get half an answer.
_DROPPED, _TRUNCATED = 5, 5

HandedIn = Literal["once", "twice", "by message", "by message, twice"]


@dataclass(frozen=True)
class Order:
    """One order: how its job is handed in, and what its model says in each turn."""

    number: int
    handed_in: HandedIn
    cancelled_after_s: float | None
    timeout_ms: int | None
    turns: Sequence[Sequence[Mapping[str, Any]]]

    @property
    def text(self) -> str:
        """What the user says."""
        return f"order {self.number}"


def order(seed: int, number: int) -> Order:
    """The order with this number."""
    chance = random.Random(f"{seed} {number}")
    turns = [
        [_deed(chance, f"{number}/{turn}/{index}") for index in range(chance.randint(1, 4))]
        for turn in range(1, chance.randint(1, 2) + 1)
    ]
    ways: Sequence[HandedIn] = ("once", "twice", "by message", "by message, twice")
    return Order(
        number=number,
        handed_in=chance.choices(ways, weights=(80, 8, 8, 4))[0],
        cancelled_after_s=chance.uniform(0, 1) if chance.random() < 0.01 else None,
        timeout_ms=chance.randint(200, 1500) if chance.random() < 0.01 else None,
        turns=turns,
    )


def _deed(chance: random.Random, place: str) -> Mapping[str, Any]:
    tool = chance.choice(_TOOLS)
    arguments: dict[str, Any] = {name: round(chance.uniform(0, _LONGEST_DEED_S), 3) for name in ("before", "after")}
    if tool == "repeat":
        arguments["stumbles"] = chance.choice((0, 0, 0, 0, 1, 2))
    return call(tool, order=place, **arguments)


@dataclass
class Weather:
    """Whether the endpoint refuses everybody just now, and how often it has."""

    flooded: bool = False
    refused: int = 0
    """How many model calls got a 429."""
    broken: int = 0
    """How many got no answer, or half of one."""


@dataclass
class Model:
    """The one line that the endpoint says to everybody."""

    seed: int
    weather: Weather = field(default_factory=Weather)

    def __call__(self, request: Request) -> Reply:
        """What the model says."""
        if self.weather.flooded:
            self.weather.refused += 1
            return refuse(429, "too many requests", retry_after="1")
        chance = random.Random(f"{self.seed} {request.text} {request.turn} {request.attempt}")
        delay_s = chance.uniform(0.02, _LONGEST_THOUGHT_S)
        turns = order(self.seed, int(request.text.removeprefix("order "))).turns
        reply = ask(*turns[request.turn]) if request.turn < len(turns) else say("done")
        luck = chance.randrange(1000)
        if luck < _DROPPED + _TRUNCATED:
            self.weather.broken += 1
            reply = DROPPED if luck < _DROPPED else truncated(reply)
        return reply.after(delay_s)
