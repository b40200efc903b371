"""One tool call of a turn, and how it ended."""

from typing import Literal, get_args

from schemas.wire import WireModel

OutcomeKind = Literal["succeeded", "rejected", "denied", "failed", "timed_out", "cancelled", "unknown"]
"""How a call ends, exactly once:

- `succeeded`: there is a result;
- `rejected`: the arguments do not fit; the model can fix them;
- `denied`: the caller lacks a permission;
- `failed`: the tool failed, and said so or is known to have done nothing;
- `timed_out`: the tool took longer than it may;
- `cancelled`: the job ended before the call did;
- `unknown`: nobody knows whether the effect of an unsafe tool happened.
"""

OUTCOME_KINDS: tuple[str, ...] = get_args(OutcomeKind)


class Outcome(WireModel):
    """How a call ended, and what the model is told."""

    kind: OutcomeKind
    content: str
    """The content of the tool message."""


class Call(WireModel):
    """One tool call as the ledger has it."""

    turn: int
    index: int
    tool: str
    """`name@version`, or the bare name that the model used if there is no such tool."""
    tool_call_id: str
    arguments: str
    """JSON text as the model wrote it."""
    pool: str | None
    """None if the call was refused before it was sent anywhere."""
    attempts: int
    """How often a worker began it."""
    outcome: Outcome | None
    """None while it is open."""
    stored_bytes: int = 0
    """The size of the whole result, if the model was given a preview only."""
