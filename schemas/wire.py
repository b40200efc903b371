"""What every model that crosses a wire shares: frozen, closed, versioned; and the form of our ids.

This module must not know any particular model.
"""

import re
import secrets
import time
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints

#: The newest version of the wire format that this code reads and writes.
SCHEMA_VERSION: Final = 1
#: Readers accept this version and the one before it; a newer one is left for newer processes.
OLDEST_READABLE_VERSION: Final = 1

DEFAULT_CELL: Final = "a"

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"

JobId = Annotated[str, StringConstraints(pattern=r"^job_[a-z0-9]{1,12}_[0-9a-hjkmnp-tv-z]{26}$")]
"""`job_<cell>_<ulid>`: the cell is the Redis that holds the job; the rest sorts by time of creation."""
ConversationId = Annotated[str, StringConstraints(pattern=r"^conv_[a-z0-9]{1,12}_[0-9a-hjkmnp-tv-z]{26}$")]
"""`conv_<cell>_<ulid>`, in the same form as a job's id."""
QueueName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9._-]{0,99}$")]
"""What Dramatiq takes for the name of a queue."""

_JOB_ID_PATTERN = r"job_[a-z0-9]{1,12}_[0-9a-hjkmnp-tv-z]{26}"
_TURN_ID = re.compile(rf"^({_JOB_ID_PATTERN})/(\d+)$")
_CALL_ID = re.compile(rf"^({_JOB_ID_PATTERN})/(\d+)/(\d+)$")


class WireModel(BaseModel):
    """Base of everything that crosses a wire: immutable, and closed to fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


def new_job_id(cell: str = DEFAULT_CELL) -> str:
    """A fresh job id of `cell`."""
    return f"job_{cell}_{_ulid()}"


def new_conversation_id(cell: str = DEFAULT_CELL) -> str:
    """A fresh conversation id of `cell`."""
    return f"conv_{cell}_{_ulid()}"


def call_id(job_id: str, turn: int, index: int) -> str:
    """The id of a call, which is its idempotency key too: `job/turn/index`."""
    return f"{job_id}/{turn}/{index}"


def parse_call_id(text: str) -> tuple[str, int, int] | None:
    """The job id, turn and index in a call's id, or None if `text` is no such id."""
    match = _CALL_ID.match(text)
    return (match[1], int(match[2]), int(match[3])) if match else None


def parse_turn_id(text: str) -> tuple[str, int] | None:
    """The job id and turn in `job/turn`, or None if `text` is no such id."""
    match = _TURN_ID.match(text)
    return (match[1], int(match[2])) if match else None


def storable(text: str) -> str:
    """`text` without what UTF-8 cannot hold, and no strict reader of JSON takes: half a surrogate pair becomes `?`."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _ulid() -> str:
    """48 bits of milliseconds and 80 random bits in Crockford's base 32, lower case (github.com/ulid/spec)."""
    number = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -5, -5))
