"""The body of a chat completion request, as far as this model reads it, checked like the API it stands in for checks.

Fields it does not know are let through, as that API's newer fields would be; a known field with a wrong value is an
error that names the field. This module must not decide anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from trunkline.offline_model.json_values import Json


@dataclass(frozen=True, slots=True)
class BadRequest(Exception):
    """A request that cannot be answered: what is wrong, and with which field."""

    message: str
    param: str | None = None
    code: str | None = None


class _Part(BaseModel):
    """What every part of a body shares: it may have fields that are not read here."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class CalledFunction(_Part):
    """Name and arguments of a call the assistant made."""

    name: str
    arguments: str


class MadeCall(_Part):
    """A call the assistant made."""

    id: Annotated[str, StringConstraints(min_length=1)]
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(_Part):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[MadeCall] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The text of the content; parts that are no text are passed over."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(part["text"]) for part in self.content or () if isinstance(part.get("text"), str))


class FunctionDefinition(_Part):
    """A function that may be called."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolDefinition(_Part):
    """A tool that may be called."""

    type: Literal["function"]
    function: FunctionDefinition


class StreamOptions(_Part):
    """How to stream."""

    include_usage: bool = False


class ResponseFormat(_Part):
    """The form of the answer; only text can be given."""

    type: Literal["text"]


class ChatRequest(_Part):
    """A chat completion request."""

    model: Annotated[str, StringConstraints(min_length=1)]
    messages: Annotated[list[Message], Field(min_length=1)]
    tools: list[ToolDefinition] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    response_format: ResponseFormat | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What `tool_choice` comes down to: how free the model is, and among which tools."""

    mode: Literal["auto", "none", "required", "named"]
    tools: tuple[FunctionDefinition, ...]


def parse_request(body: Json) -> ChatRequest:
    """Checks a decoded body.

    Raises:
        BadRequest: Something is wrong with it; the first fault counts.
    """
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    if "functions" in body or "function_call" in body:
        param = "functions" if "functions" in body else "function_call"
        raise BadRequest(f"'{param}' is deprecated and not supported here; use 'tools' and 'tool_choice'.", param)
    try:
        request = ChatRequest.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        param = _param(first["loc"])
        raise BadRequest(f"Invalid value for '{param}': {first['msg']}.", param) from error
    _check_order(request.messages)
    _check_tools(request)
    return request


def tool_choice(request: ChatRequest) -> Choice:
    """The tools that may be called, and whether one must be.

    Raises:
        BadRequest: `tool_choice` has no known form or names a tool that is not offered.
    """
    offered = tuple(tool.function for tool in request.tools or ())
    given = request.tool_choice
    match given:
        case None | "auto":
            return Choice("auto", offered)
        case "none":
            return Choice("none", offered)
        case "required":
            return Choice("required", offered)
        case {"type": "function", "function": {"name": str(name)}}:
            return Choice("named", (_named(offered, name, "tool_choice.function.name"),))
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": [*tools]}}:
            names = [tool["function"] for tool in tools if isinstance(tool, dict) and "function" in tool]
            chosen = [function.get("name") for function in names if isinstance(function, dict)]
            param = "tool_choice.allowed_tools.tools"
            allowed = tuple(_named(offered, str(name), param) for name in chosen)
            return Choice("required" if mode == "required" else "auto", allowed)
    raise BadRequest(
        "Invalid value for 'tool_choice': expected 'none', 'auto', 'required', or an object naming a function.",
        "tool_choice",
    )


def _named(offered: Sequence[FunctionDefinition], name: str, param: str) -> FunctionDefinition:
    for function in offered:
        if function.name == name:
            return function
    raise BadRequest(f"Tool choice '{name}' not found in 'tools' parameter.", param)


def _param(location: tuple[int | str, ...]) -> str:
    """`("messages", 0, "content", "str")` as `messages[0].content`."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in _BRANCHES or "[" in part:
            continue
        else:
            path += f".{part}" if path else part
    return path


#: How pydantic names the branches of a union inside a location.
_BRANCHES = frozenset({"str", "dict", "list", "int", "float", "bool"})


def _check_order(messages: Sequence[Message]) -> None:
    """Every call of an assistant message must be answered by tool messages right after it, and only such."""
    open_ids: list[str] = []
    for index, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id is None:
                raise BadRequest(
                    f"Missing required parameter: 'messages[{index}].tool_call_id'.",
                    f"messages[{index}].tool_call_id",
                )
            if message.tool_call_id not in open_ids:
                raise BadRequest(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with"
                    f" 'tool_calls' ('{message.tool_call_id}' is not open).",
                    f"messages[{index}].tool_call_id",
                )
            open_ids.remove(message.tool_call_id)
            continue
        _check_answered(open_ids, index)
        open_ids = [call.id for call in message.tool_calls or ()]
        if message.role != "assistant" and message.tool_calls:
            raise BadRequest("Only assistant messages have 'tool_calls'.", f"messages[{index}].tool_calls")
        if message.role in ("user", "system", "developer") and message.content is None:
            raise BadRequest(f"Invalid value for 'messages[{index}].content': expected a string or a list.",
                             f"messages[{index}].content")  # fmt: skip
    _check_answered(open_ids, len(messages))


def _check_answered(open_ids: Sequence[str], index: int) -> None:
    if open_ids:
        raise BadRequest(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            f" 'tool_call_id'. The following did not have response messages: {', '.join(open_ids)}",
            f"messages[{index}]" if index else "messages",
        )


def _check_tools(request: ChatRequest) -> None:
    names: set[str] = set()
    for index, tool in enumerate(request.tools or ()):
        if tool.function.name in names:
            param = f"tools[{index}].function.name"
            raise BadRequest(f"Invalid value for '{param}': '{tool.function.name}' is offered twice.", param)
        names.add(tool.function.name)
    if request.tool_choice not in (None, "none", "auto") and not names:
        raise BadRequest("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    tool_choice(request)
