"""How a job stands, and how it ended."""

from collections.abc import Mapping
from typing import Literal, get_args

from schemas.wire import SCHEMA_VERSION, WireModel

TerminalState = Literal["completed", "failed", "cancelled", "expired"]
JobState = Literal["waiting", "running", "completed", "failed", "cancelled", "expired"]
"""`waiting`: behind another job of its conversation. `running`: everything else that has not ended."""

TERMINAL_STATES: frozenset[str] = frozenset(get_args(TerminalState))


class JobError(WireModel):
    """Why a job did not complete."""

    code: str
    """Stable, for programs: `limit_turns`, `limit_calls_per_turn`, `limit_calls`, `model_error`, `model_unavailable`,
    `model_answer`, `no_worker`, `crashed`, `undeliverable`, `cancelled`, `deadline`."""
    message: str
    """For people: what happened, and what to do."""


class Usage(WireModel):
    """Tokens that the model's endpoint counted, over all turns."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class JobResult(WireModel):
    """A job's state; once it has ended, its answer or its error. This is what a reply address gets, too."""

    schema_version: int = SCHEMA_VERSION
    job_id: str
    conversation_id: str
    state: JobState
    answer: str | None = None
    """The model's final answer, if the job completed."""
    finish_reason: str | None = None
    """Why the model stopped; `length` means that its answer was cut off."""
    error: JobError | None = None
    turns: int = 0
    calls: int = 0
    usage: Usage = Usage()
    accepted_us: int = 0
    """When the job was accepted; microseconds since 1970, by Redis's clock."""
    ended_us: int | None = None
    deadline_ms: int = 0
    tenant: str = "default"
    model: str | None = None
    metadata: Mapping[str, str] = {}

    @property
    def has_ended(self) -> bool:
        """Whether the job is in a terminal state."""
        return self.state in TERMINAL_STATES
