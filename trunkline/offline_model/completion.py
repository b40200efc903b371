"""Spells a reply as the chat completions API does: one body, or the chunks of a stream.

This module must not know HTTP.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, assert_never

from trunkline.offline_model.decide import Answer, CallTools, Reply
from trunkline.offline_model.json_values import Json
from trunkline.offline_model.request import ChatRequest

#: What every answer names as its model, whatever model the request asked for.
MODEL_NAME: Final = "offline-rules-not-a-language-model"
_FINGERPRINT: Final = "fp_offline_rules"
_LETTERS_PER_TOKEN: Final = 4
#: Arguments are streamed in pieces of this many letters.
_PIECE: Final = 24


@dataclass(frozen=True, slots=True)
class Completion:
    """A reply with all that a body or a stream says about it."""

    id: str
    created: int
    reply: Reply
    finish_reason: str
    usage: dict[str, Json]


def completion_of(reply: Reply, request: ChatRequest, *, created: int) -> Completion:
    """`reply` cut to the request's token limit, with approximate usage.

    Args:
        reply: The decision.
        request: What it answers.
        created: Unix time of the answer, in seconds.
    """
    finish_reason = "tool_calls" if isinstance(reply, CallTools) else "stop"
    limit = request.max_completion_tokens or request.max_tokens
    if isinstance(reply, Answer) and limit is not None and tokens_in(reply.text) > limit:
        reply, finish_reason = Answer(reply.text[: limit * _LETTERS_PER_TOKEN]), "length"
    asked = request.model_dump_json(include={"messages", "tools"}, exclude_none=True)
    prompt, written = tokens_in(asked), tokens_in(_written(reply))
    usage: dict[str, Json] = {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
    }
    identity = hashlib.sha256(f"{asked}{_written(reply)}".encode()).hexdigest()[:24]
    return Completion(f"chatcmpl-{identity}", created, reply, finish_reason, usage)


def tokens_in(text: str) -> int:
    """Roughly how many tokens `text` would be: one for every four letters. No tokenizer is involved."""
    return math.ceil(len(text) / _LETTERS_PER_TOKEN)


def body_of(completion: Completion) -> dict[str, Json]:
    """The body of an answer that is not streamed."""
    message: dict[str, Json] = {"role": "assistant", "content": None, "refusal": None}
    reply = completion.reply
    match reply:
        case CallTools():
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.tool, "arguments": _spelled(call.arguments)},
                }
                for call in reply.calls
            ]
        case Answer():
            message["content"] = reply.text
        case _:
            assert_never(reply)
    choice: Json = {"index": 0, "message": message, "logprobs": None, "finish_reason": completion.finish_reason}
    return {**_head(completion, "chat.completion"), "choices": [choice], "usage": completion.usage}


def chunks_of(completion: Completion, *, include_usage: bool) -> Iterator[dict[str, Json]]:
    """The chunks of a streamed answer, in order."""
    head = _head(completion, "chat.completion.chunk")
    extra: dict[str, Json] = {"usage": None} if include_usage else {}

    def chunk(delta: dict[str, Json], finish_reason: str | None = None) -> dict[str, Json]:
        choice: Json = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**head, "choices": [choice], **extra}

    yield chunk({"role": "assistant", "content": "" if isinstance(completion.reply, Answer) else None})
    for delta in _deltas(completion.reply):
        yield chunk(delta)
    yield chunk({}, completion.finish_reason)
    if include_usage:
        yield {**head, "choices": [], "usage": completion.usage}


def model_body(created: int) -> dict[str, Json]:
    """The one model there is, as the models API describes it."""
    return {"id": MODEL_NAME, "object": "model", "created": created, "owned_by": "trunkline"}


def error_body(message: str, *, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Json]:
    """An error as the API spells it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _deltas(reply: Reply) -> Iterator[dict[str, Json]]:
    match reply:
        case Answer():
            for piece in re.findall(r"\s*\S+\s*$|\s*\S+|\s+", reply.text):
                yield {"content": piece}
        case CallTools():
            for index, call in enumerate(reply.calls):
                function: Json = {"name": call.tool, "arguments": ""}
                yield {"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]}
                arguments = _spelled(call.arguments)
                for start in range(0, len(arguments), _PIECE):
                    yield {
                        "tool_calls": [{"index": index, "function": {"arguments": arguments[start : start + _PIECE]}}]
                    }
        case _:
            assert_never(reply)


def _head(completion: Completion, kind: str) -> dict[str, Json]:
    return {
        "id": completion.id,
        "object": kind,
        "created": completion.created,
        "model": MODEL_NAME,
        "system_fingerprint": _FINGERPRINT,
    }


def _written(reply: Reply) -> str:
    match reply:
        case Answer():
            return reply.text
        case CallTools():
            return "".join(f"{call.tool}{_spelled(call.arguments)}" for call in reply.calls)
        case _:
            assert_never(reply)


def _spelled(arguments: dict[str, Json]) -> str:
    return json.dumps(arguments, ensure_ascii=False)
