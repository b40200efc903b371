"""A chat job: what an upstream system hands in."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from schemas.caller import Caller
from schemas.conversation import AssistantMessage, Message, SystemMessage, ToolMessage, problem_with
from schemas.wire import OLDEST_READABLE_VERSION, SCHEMA_VERSION, ConversationId, QueueName, WireModel

ToolPattern = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_*?\[\]!-]{1,64}(@[0-9A-Za-z.+*-]{1,64})?$")]
"""A tool's name, `name@version`, or a shell pattern such as `property_*` or `*`."""
Traceparent = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")]
"""W3C Trace Context."""


class JobLimits(WireModel):
    """Reaching one ends the job as `failed`, with an error that says which."""

    turns: Annotated[int, Field(ge=1, le=200)] = 16
    """Model calls that lead to an answer or to tool calls; failed attempts are not counted."""
    calls_per_turn: Annotated[int, Field(ge=0, le=1000)] = 32
    calls: Annotated[int, Field(ge=0, le=10_000)] = 128
    """Tool calls of all turns together."""


class ModelParameters(WireModel):
    """What is passed on to the model's API as it is."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """For endpoints that do not know `max_completion_tokens`."""
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: int | None = None
    stop: str | Annotated[tuple[str, ...], Field(min_length=1, max_length=4)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    parallel_tool_calls: bool | None = None
    tool_choice: Literal["auto", "none", "required"] | None = None
    """For the first turn only; a choice that forced a call in every turn could never end."""
    response_format: Mapping[str, Any] | None = None
    service_tier: str | None = None


class ReplyAddress(WireModel):
    """Where the answer is sent when the job ends: an actor on a queue whose name begins with `reply.`."""

    queue: QueueName
    actor: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9._-]{0,199}$")]

    @field_validator("queue")
    @classmethod
    def _is_a_reply_queue(cls, queue: str) -> str:
        if not queue.startswith("reply."):
            raise ValueError(f"a reply queue's name begins with 'reply.', such as 'reply.{queue}'")
        return queue


class JobTerms(WireModel):
    """Everything about a job but its messages; what the ledger keeps of it besides them."""

    schema_version: Annotated[int, Field(ge=OLDEST_READABLE_VERSION, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    model: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """The model's name at the endpoint; None for the orchestrator's default."""
    tools: Annotated[tuple[ToolPattern, ...], Field(max_length=200)] = ("*",)
    """Which published tools the model is offered."""
    model_parameters: ModelParameters = ModelParameters()
    caller: Caller = Caller()
    limits: JobLimits = JobLimits()
    timeout_ms: Annotated[int, Field(ge=1)] | None = None
    """From acceptance to the end; None for the deployment's default. Longer than its maximum is refused."""
    conversation_id: ConversationId | None = None
    """The conversation that this job continues; None begins a new one."""
    if_busy: Literal["wait", "refuse"] = "wait"
    """What happens if another job of the conversation has not ended yet."""
    priority: Literal["interactive", "batch"] = "interactive"
    """In fair queues, interactive work goes first, nine to one where both wait; batch work is never starved."""
    if_no_worker: Literal["wait", "fail"] = "wait"
    """What happens if a tool that is needed has no living worker."""
    reply_to: ReplyAddress | None = None
    idempotency_key: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    traceparent: Traceparent | None = None
    """The trace that this job shall be a part of."""
    agent: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """A name for this kind of job, for people who read traces."""
    metadata: Annotated[Mapping[str, Annotated[str, StringConstraints(max_length=1000)]], Field(max_length=16)] = {}
    """The upstream's own notes, given back with the result."""


class ChatJob(JobTerms):
    """One chat job.

    Everything but `messages` has a default. The same job handed in twice under one `idempotency_key` is one job.
    """

    messages: Annotated[tuple[Message, ...], Field(json_schema_extra={"minItems": 1})]
    """New messages; of a continued conversation only what comes after its last message."""

    @model_validator(mode="after")
    def _messages_are_acceptable(self) -> "ChatJob":
        if problem := problem_with(self.messages):
            raise ValueError(problem)
        if self.conversation_id is not None and isinstance(self.messages[0], AssistantMessage | ToolMessage):
            raise ValueError("messages.0: a job that continues a conversation begins with a user message")
        if all(isinstance(message, SystemMessage) for message in self.messages) and self.conversation_id is None:
            raise ValueError("messages: there are only system messages; end with a user message")
        return self
