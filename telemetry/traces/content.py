"""What was said: prompts, answers, arguments, results. It leaves us only where somebody has opted in. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from telemetry import conventions as names


@dataclass(frozen=True, slots=True)
class Content:
    """The content of one job."""

    conversation: Sequence[Mapping[str, Any]]
    """All messages of its conversation, in OpenAI's format. It only ever grows at its end."""
    results: Mapping[tuple[int, int], str]
    """What the model was told of calls, by turn and index."""

    def of_chat(self, history: int | None, *, answered: bool) -> dict[str, str]:
        """The attributes of a model call that was given the first `history` messages."""
        if history is None:
            return {}
        attributes = {names.INPUT_MESSAGES: _as_json(self.conversation[:history])}
        if answered and len(self.conversation) > history:
            attributes[names.OUTPUT_MESSAGES] = _as_json(self.conversation[history : history + 1])
        return attributes


def _as_json(messages: Sequence[Mapping[str, Any]]) -> str:
    """Messages in the form of the conventions: a role, and parts."""
    return json.dumps([{"role": message["role"], "parts": _parts(message)} for message in messages])


def _parts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        return [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": message.get("content")}]
    parts: list[dict[str, Any]] = []
    content = message.get("content") or message.get("refusal")
    if isinstance(content, str):
        parts.append({"type": "text", "content": content})
    elif content is not None:
        parts += content
    for call in message.get("tool_calls") or ():
        function = call["function"]
        parts.append(
            {"type": "tool_call", "id": call["id"], "name": function["name"], "arguments": function["arguments"]}
        )
    return parts
