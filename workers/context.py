"""What a tool is told about its call, and what it may say while it runs.

This module must not know how a call came here, nor where its progress goes.
"""

import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from structlog.typing import FilteringBoundLogger

from schemas.caller import Caller
from schemas.wire import storable
from workers.errors import CallCancelled

__all__ = ["Progress", "ToolContext"]

_TEST_ULID: Final = "0" * 26


@dataclass(frozen=True)
class Progress:
    """How far a tool has come. Generators yield it, any number of times; whoever follows the job sees it."""

    message: str = ""
    """For a person to read."""
    fraction: float | None = None
    """From 0.0 to 1.0 (anything else is moved to the nearer end); None if the tool cannot tell."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", storable(self.message))
        if self.fraction is not None:
            object.__setattr__(self, "fraction", min(1.0, max(0.0, self.fraction)))


@dataclass(frozen=True, kw_only=True)
class ToolContext:
    """What a tool may know of its call. A tool that wants it takes a keyword-only `context: ToolContext`.

    Attributes:
        job_id: The chat job the call belongs to.
        call_id: The call, as `job/turn/index`.
        conversation_id: The conversation of the job.
        caller: Who handed the job in. That they hold the tool's permissions has been checked already.
        attempt: Which attempt of the call this is, from 1. Deliveries that a crash cut short are not counted.
        ends_at: The reading of `time.monotonic()` at which the call's time is up; `remaining()` is what to use.
        cancellation: Set from outside when the call is cancelled; `cancelled` is what to use.
        logger: Carries the ids of the call already.
    """

    job_id: str
    call_id: str
    conversation_id: str
    caller: Caller
    attempt: int
    ends_at: float
    cancellation: threading.Event
    logger: FilteringBoundLogger

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this call and for no other call: what to hand to a service that wants a key."""
        return self.call_id

    def remaining(self) -> timedelta:
        """The time left for this attempt, never less than zero."""
        return timedelta(seconds=max(0.0, self.ends_at - time.monotonic()))

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the result any more. Async tools are cancelled on their own, sync ones look here."""
        return self.cancellation.is_set()

    def raise_if_cancelled(self) -> None:
        """End the tool here if nobody waits for its result any more.

        Raises:
            CallCancelled: the call was cancelled; let it pass.
        """
        if self.cancelled:
            raise CallCancelled(f"call {self.call_id} was cancelled")

    @classmethod
    def for_test(
        cls,
        *,
        caller: Caller | None = None,
        attempt: int = 1,
        remaining: timedelta = timedelta(minutes=1),
        cancelled: bool = False,
    ) -> "ToolContext":
        """A context to call a tool with directly, without a broker: `my_tool("x", context=ToolContext.for_test())`.

        Args:
            caller: Who asks; by default nobody in particular, without permissions.
            attempt: Which attempt it is, from 1.
            remaining: The time left.
            cancelled: Whether the call is cancelled already. `context.cancellation.set()` does it later.
        """
        job_id = f"job_test_{_TEST_ULID}"
        context = cls(
            job_id=job_id,
            call_id=f"{job_id}/1/0",
            conversation_id=f"conv_test_{_TEST_ULID}",
            caller=caller or Caller(),
            attempt=attempt,
            ends_at=time.monotonic() + remaining.total_seconds(),
            cancellation=threading.Event(),
            logger=structlog.get_logger(),
        )
        if cancelled:
            context.cancellation.set()
        return context
