"""How a call ends whose tool raised: with an outcome for the model, or with another attempt."""

import random
import time
from datetime import timedelta

import structlog

from workers.attempt import Abandoned, Answered, Attempt, Ended, Proceed, TryLater, answered
from workers.errors import (
    ArgumentsRejected,
    CallCancelled,
    NotDone,
    ResultDoesNotFit,
    ResultNotSerializable,
    ResultTooLarge,
    TimeLimitExceeded,
)
from workers.failure_text import failure_text

_log = structlog.get_logger(__name__)

_UNKNOWN = "Whether the tool had its effect is not known; do not repeat the call without checking."


async def answer_failure(attempt: Attempt, proceed: Proceed) -> Ended:
    """Turns whatever the tool raises into how the call ends."""
    try:
        return await proceed(attempt)
    except CallCancelled:
        if attempt.delivery.cancelled:
            return Abandoned()
        return answered("failed", "The tool stopped as if it had been cancelled.")
    except ArgumentsRejected as error:
        return answered("rejected", str(error))
    except NotDone as error:
        return _retry(attempt, error, "failed") or answered("failed", failure_text(error))
    except (ResultNotSerializable, ResultDoesNotFit, ResultTooLarge) as error:
        _log.error("a tool's result cannot be used", error=str(error))
        return _ran_without_result(attempt, error)
    except TimeLimitExceeded as error:
        _log.warning("a tool exceeded its time limit", limit_s=error.limit_s)
        return _failed(attempt, error, "timed_out")
    # The boundary around a tool: it may raise anything, and none of it may reach the worker.
    except Exception as error:  # noqa: BLE001
        _log.warning("a tool raised", exc_info=True)
        return _failed(attempt, error, "failed")


def _failed(attempt: Attempt, error: Exception, kind: str) -> Ended:
    if attempt.tool.specification.effect == "unsafe":
        return answered("unknown", f"{failure_text(error)} {_UNKNOWN}")
    return _retry(attempt, error, kind) or answered(kind, failure_text(error))


def _ran_without_result(attempt: Attempt, error: Exception) -> Answered:
    text = f"The tool ran, but its result cannot be given. {failure_text(error)}"
    if attempt.tool.specification.effect == "unsafe":
        return answered(
            "unknown", f"{text} Its effect has most likely happened; do not repeat the call without checking."
        )
    return answered("failed", text)


def _retry(attempt: Attempt, error: Exception, kind: str) -> TryLater | None:
    """The next attempt, if the tool's policy has one left and the job's time has room for it.

    The delay doubles from `backoff` to `max_backoff`, with jitter over its upper half.
    """
    policy = attempt.tool.specification
    if attempt.claim.attempt >= policy.max_attempts or policy.effect == "unsafe":
        return None
    backoff = min(policy.backoff * 2 ** (attempt.claim.attempt - 1), policy.max_backoff)
    # Not for secrets: jitter.
    delay = backoff * (0.5 + random.random() / 2)  # noqa: S311
    elapsed = timedelta(seconds=time.monotonic() - attempt.claimed_at)
    if elapsed + delay >= attempt.claim.remaining:
        return None
    return TryLater(delay, error=f"{kind}: {failure_text(error)}")
