"""One attempt of a call, on its way through the policies; and how it may end."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ledger.call_steps import CallClaimed
from messaging.delivery import Delivery
from schemas.call import Outcome
from schemas.envelope import CallEnvelope
from schemas.wire import storable
from workers.tool import Tool


@dataclass(frozen=True, slots=True)
class Answered:
    """The call has its outcome."""

    outcome: Outcome
    cached: bool = False
    result_bytes: int | None = None
    stored_result: str | None = None
    """The whole result, if the model gets a preview of it."""


@dataclass(frozen=True, slots=True)
class TryLater:
    """The tool failed, and its policy says again."""

    delay: timedelta
    error: str


@dataclass(frozen=True, slots=True)
class Abandoned:
    """Nobody wants the outcome any more: the job has ended, and has answered the call itself."""


Ended = Answered | TryLater | Abandoned


@dataclass(slots=True)
class Attempt:
    """What the policies know of an attempt.

    Attributes:
        envelope: Which call it is.
        claim: What the ledger says of it.
        tool: What is called.
        delivery: The message that it came in.
        claimed_at: `time.monotonic()` when the ledger's answer was here.
        ends_at: `time.monotonic()` when its time is up; a policy lowers it.
        arguments: By parameter name, once they have been checked.
    """

    envelope: CallEnvelope
    claim: CallClaimed
    tool: Tool[..., Any]
    delivery: Delivery
    claimed_at: float = field(default_factory=time.monotonic)
    ends_at: float = 0.0
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ends_at = self.claimed_at + self.claim.remaining.total_seconds()

    @property
    def remaining_s(self) -> float:
        """What is left of the attempt's time, seconds; negative once it is over."""
        return self.ends_at - time.monotonic()


Proceed = Callable[[Attempt], Awaitable[Ended]]
Policy = Callable[[Attempt, Proceed], Awaitable[Ended]]


def answered(kind: str, content: str) -> Answered:
    """An outcome with a text for the model."""
    return Answered(Outcome.model_validate({"kind": kind, "content": storable(content)}))
