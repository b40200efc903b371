"""The messages of a conversation, in OpenAI's chat format, and the rules that make a list of them acceptable to a
model.

Source: the `messages` of https://platform.openai.com/docs/api-reference/chat/create.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from schemas.wire import WireModel


class TextPart(WireModel):
    type: Literal["text"]
    text: str


class RefusalPart(WireModel):
    type: Literal["refusal"]
    refusal: str


class ImageUrl(WireModel):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(WireModel):
    type: Literal["image_url"]
    image_url: ImageUrl


class InputAudio(WireModel):
    data: str
    """Base64."""
    format: Literal["wav", "mp3"]


class AudioPart(WireModel):
    type: Literal["input_audio"]
    input_audio: InputAudio


class FileReference(WireModel):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(WireModel):
    type: Literal["file"]
    file: FileReference


TextParts = Annotated[tuple[TextPart, ...], Field(min_length=1)]
UserPart = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]


class FunctionCall(WireModel):
    name: str
    arguments: str
    """JSON text as the model wrote it, which need not be valid."""


class ToolCall(WireModel):
    id: Annotated[str, Field(min_length=1)]
    type: Literal["function"] = "function"
    function: FunctionCall


class SystemMessage(WireModel):
    role: Literal["system"] = "system"
    content: str | TextParts
    name: str | None = None


class DeveloperMessage(WireModel):
    role: Literal["developer"] = "developer"
    content: str | TextParts
    name: str | None = None


class UserMessage(WireModel):
    role: Literal["user"] = "user"
    content: str | Annotated[tuple[UserPart, ...], Field(min_length=1)]
    name: str | None = None


class AssistantMessage(WireModel):
    """What the model said: text, a refusal, calls, or several of these."""

    role: Literal["assistant"] = "assistant"
    content: str | Annotated[tuple[AssistantPart, ...], Field(min_length=1)] | None = None
    refusal: str | None = None
    tool_calls: Annotated[tuple[ToolCall, ...], Field(min_length=1)] | None = None
    name: str | None = None

    @field_validator("tool_calls", mode="before")
    @classmethod
    def _no_calls_is_none(cls, value: Any) -> Any:
        return value or None


class ToolMessage(WireModel):
    role: Literal["tool"] = "tool"
    tool_call_id: Annotated[str, Field(min_length=1)]
    content: str | TextParts


Message = Annotated[
    SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


def problem_with(messages: Sequence[Message]) -> str | None:
    """Why a model's API would not accept `messages` as a request, or None.

    The rules: there is at least one message; every assistant message with tool calls is followed by exactly one tool
    message per call; a tool message answers such a call; the last message is not the assistant's, since it is its turn.
    """
    if not messages:
        return "messages: there is none; give at least one user message"
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in open_calls:
                return (
                    f"messages.{index}.tool_call_id: {message.tool_call_id!r} answers no call of the assistant message "
                    "before it; leave the tool message out or give the assistant message with the call"
                )
            open_calls.remove(message.tool_call_id)
            continue
        if open_calls:
            return f"messages.{index}: the calls {sorted(open_calls)} before it have no tool message; add one for each"
        if isinstance(message, AssistantMessage) and message.tool_calls:
            open_calls = {call.id for call in message.tool_calls}
            if len(open_calls) < len(message.tool_calls):
                return f"messages.{index}.tool_calls: two calls have the same id; make them unique"
    if open_calls:
        return f"messages: the calls {sorted(open_calls)} of the last assistant message have no tool message; add them"
    if isinstance(messages[-1], AssistantMessage):
        return f"messages.{len(messages) - 1}: the last message is the assistant's; end with a user message"
    return None
