"""What happens to a job, in order: for who follows it, and the facts from which traces and metrics are built.

Times are microseconds since 1970 by Redis's clock. Durations are measured by the process that did the work.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from schemas.call import OutcomeKind
from schemas.job_result import JobError, TerminalState
from schemas.wire import WireModel


class Event(WireModel):
    """What all events share."""

    id: str
    """Its place in the job's events: pass the last one seen to read on from there."""
    at_us: int


class LostDelivery(WireModel):
    """A delivery that died with its worker, or broke the code around its actor."""

    worker: str
    fetched_us: int
    lost_us: int
    """When that was noticed."""


class Delivered(WireModel):
    """How a message reached the worker that began to work on it."""

    worker: str
    message: str
    enqueued_us: int
    fetched_us: int
    crashes: int = 0
    """Earlier deliveries that died with their worker."""
    lost: tuple[LostDelivery, ...] = ()
    """The last few of them, in order."""
    throttled_us: int = 0
    """How long the rate of its queue held it up."""


class JobAccepted(Event):
    type: Literal["job_accepted"] = "job_accepted"
    conversation_id: str
    waiting: bool
    """Whether it waits behind another job of its conversation."""


class JobStarted(Event):
    """The jobs before it in its conversation have ended."""

    type: Literal["job_started"] = "job_started"


class TurnStarted(Event):
    type: Literal["turn_started"] = "turn_started"
    turn: int
    attempt: int
    delivery: Delivered


class ModelFacts(WireModel):
    """One call of the model."""

    model: str
    attempt: int
    started_us: int
    elapsed_us: int
    response_model: str | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    error_type: str | None = None
    """The class of the error, if it failed: an HTTP status, `timeout`, `connection`, `invalid_answer`."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    history: int | None = None
    """How many messages of the conversation the model was given: all there were."""


class ModelFailed(Event):
    """A call of the model failed."""

    type: Literal["model_failed"] = "model_failed"
    turn: int
    facts: ModelFacts
    error: str
    retry_in_ms: int | None
    """When it is tried again; None if it is not."""


class RequestedCall(WireModel):
    index: int
    tool: str
    pool: str | None
    arguments: str
    tool_call_id: str = ""
    outcome: OutcomeKind | None = None
    """Set if the call was refused at once."""


class ModelAnswered(Event):
    """The model answered; with calls, which are on their way, or finally."""

    type: Literal["model_answered"] = "model_answered"
    turn: int
    facts: ModelFacts
    calls: tuple[RequestedCall, ...] = ()


class CallStarted(Event):
    type: Literal["call_started"] = "call_started"
    turn: int
    index: int
    attempt: int
    delivery: Delivered


class CallProgress(Event):
    type: Literal["call_progress"] = "call_progress"
    turn: int
    index: int
    message: str
    fraction: float | None = None


class CallRetried(Event):
    """The tool failed and is tried again."""

    type: Literal["call_retried"] = "call_retried"
    turn: int
    index: int
    attempt: int
    elapsed_us: int
    error: str
    retry_in_ms: int


class CallEnded(Event):
    type: Literal["call_ended"] = "call_ended"
    turn: int
    index: int
    outcome: OutcomeKind
    elapsed_us: int | None = None
    """How long the tool ran; None if it did not, or nobody knows."""
    worker: str | None = None
    attempt: int | None = None
    cached: bool = False
    bytes: int | None = None
    """The size of the result."""
    delivery: Delivered | None = None
    """The delivery that found that nobody may begin the call again."""


class JobEnded(Event):
    type: Literal["job_ended"] = "job_ended"
    state: TerminalState
    error: JobError | None = None
    delivery: Delivered | None = None
    """The delivery that found that nobody may take the turn again."""


JobEvent = Annotated[
    JobAccepted
    | JobStarted
    | TurnStarted
    | ModelFailed
    | ModelAnswered
    | CallStarted
    | CallProgress
    | CallRetried
    | CallEnded
    | JobEnded,
    Field(discriminator="type"),
]

job_event: TypeAdapter[JobEvent] = TypeAdapter(JobEvent)
job_events: TypeAdapter[list[JobEvent]] = TypeAdapter(list[JobEvent])
