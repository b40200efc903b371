"""What the orchestrator needs of a model, whatever it is and wherever it runs.

Errors are sorted by what helps: trying again (`ModelUnavailable`), or nothing (`ModelRefused`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from schemas.chat_job import ModelParameters
from schemas.tool import ToolSpecification
from schemas.wire import storable


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One chat completion."""

    model: str
    messages: Sequence[str]
    """Each as JSON in OpenAI's format: the ledger keeps them like that, and nobody needs to parse them on the way."""
    tools: Sequence[ToolSpecification] = ()
    parameters: ModelParameters = field(default_factory=ModelParameters)
    tool_choice: str | None = None


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call that the model asks for, as it wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What the model said."""

    content: str | None = None
    refusal: str | None = None
    calls: Sequence[ModelCall] = ()
    finish_reason: str | None = None
    response_id: str | None = None
    response_model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


_TEXT_PARTS: Final = frozenset({"text", "output_text"})
#: More than any endpoint counts; what is larger, or no number at all, is not taken for a count.
_MOST_TOKENS: Final = 10**12


class ModelError(Exception):
    """A model call failed. The message is the provider's, without secrets.

    Args:
        message: What happened.
        error_type: The class of it, for traces and metrics.
    """

    def __init__(self, message: str, *, error_type: str = "_OTHER") -> None:
        super().__init__(message)
        self.error_type = error_type


class ModelUnavailable(ModelError):
    """It may work later: a time-out, a full or failing endpoint, a dropped or truncated answer.

    Args:
        message: What happened.
        retry_after_s: What the endpoint asked for, seconds.
        error_type: The class of it, for traces and metrics.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None, error_type: str = "invalid_answer") -> None:
        super().__init__(message, error_type=error_type)
        self.retry_after_s = retry_after_s


class ModelRefused(ModelError):
    """It will not work later either: a wrong key, an unknown model, a request that the endpoint does not take."""


class ModelClient(Protocol):
    """Calls a model."""

    async def complete(self, request: ModelRequest, *, timeout_s: float) -> ModelAnswer:
        """One answer, within `timeout_s`.

        Raises:
            ModelUnavailable: It may work later.
            ModelRefused: It will not.
        """
        ...

    async def close(self) -> None:
        """Closes what the client holds open."""
        ...


def answer_from_completion(completion: Any) -> ModelAnswer:
    """Reads a chat completion in OpenAI's format.

    Whatever is in it is of a type that the ledger takes afterwards: texts that UTF-8 can hold, and counts.

    Raises:
        ModelUnavailable: It is not one, or was cut off on its way.
    """
    try:
        choice = completion["choices"][0]
        message = choice["message"]
        calls = [
            ModelCall(
                id=_text(call.get("id")) or "",
                name=_text(call["function"].get("name")) or "",
                arguments=_arguments(call["function"].get("arguments")),
            )
            for call in message.get("tool_calls") or ()
        ]
        usage = completion.get("usage")
        return ModelAnswer(
            content=_content(message.get("content")),
            refusal=_text(message.get("refusal")),
            calls=calls,
            finish_reason=_text(choice.get("finish_reason")),
            response_id=_text(completion.get("id")),
            response_model=_text(completion.get("model")),
            prompt_tokens=_count(usage, "prompt_tokens"),
            completion_tokens=_count(usage, "completion_tokens"),
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ModelUnavailable(
            f"the endpoint's answer is no chat completion: {type(error).__name__}: {error}"
        ) from error


def _text(value: Any) -> str | None:
    return storable(str(value)) if value else None


def _content(value: Any) -> str | None:
    # Some endpoints answer with parts, as requests may have them.
    if isinstance(value, list):
        return _text("".join(part["text"] for part in value if part.get("type", "text") in _TEXT_PARTS))
    if value is not None and not isinstance(value, str):
        raise TypeError(f"the content is {type(value).__name__}")
    return _text(value)


def _arguments(value: Any) -> str:
    # Some endpoints answer with an object instead of JSON text, or with nothing for a tool without parameters.
    if isinstance(value, str):
        return storable(value) or "{}"
    if value is None:
        return "{}"
    return json.dumps(value)


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None
