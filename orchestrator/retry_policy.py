"""When a failed model call is tried again: a function from an error and an attempt to a decision."""

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from orchestrator.model_client import ModelError, ModelUnavailable

_FIRST_DELAY: Final = timedelta(seconds=1)
_LONGEST_DELAY: Final = timedelta(minutes=1)
#: An endpoint that asks for more than this is told no: its job fails with the endpoint's own words.
_LONGEST_RETRY_AFTER: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class TryAfter:
    """Try again then."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again; `why` is for people."""

    why: str


def decide(error: ModelError, *, attempt: int, max_attempts: int, spread: float | None = None) -> TryAfter | GiveUp:
    """Whether and when to try again.

    The delay doubles from one second to a minute, with full jitter over its upper half, so that jobs which failed
    together do not come back together; an endpoint's Retry-After is the least.

    Args:
        error: What happened.
        attempt: Which attempt this was, from 1.
        max_attempts: How many there may be.
        spread: From 0 to 1, where in the upper half; drawn by chance if not given.
    """
    if not isinstance(error, ModelUnavailable):
        return GiveUp(str(error))
    if attempt >= max_attempts:
        return GiveUp(f"{error} (tried {attempt} times)")
    asked = timedelta(seconds=error.retry_after_s or 0)
    if asked > _LONGEST_RETRY_AFTER:
        return GiveUp(f"{error} (the endpoint asks to wait {asked})")
    backoff = min(_FIRST_DELAY * 2 ** (attempt - 1), _LONGEST_DELAY)
    # Not for secrets: jitter.
    share = random.random() if spread is None else spread  # noqa: S311
    return TryAfter(max(backoff * (0.5 + share / 2), asked))
