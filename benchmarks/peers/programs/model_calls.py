"""The model call that all contenders make: the openai SDK's `post()`, without its own retries."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import openai

from benchmarks.conversation import MODEL, TOOLS

Message = dict[str, Any]


def model() -> Callable[[Sequence[Message]], Message]:
    """Asks from threads, over the SDK's default client; answers the assistant's message."""
    client = openai.OpenAI(max_retries=0)

    def ask(messages: Sequence[Message]) -> Message:
        answer: Any = client.post("/chat/completions", body=_body(messages), cast_to=object)
        return _message(answer)

    return ask


def async_model() -> Callable[[Sequence[Message]], Awaitable[Message]]:
    """Asks from an event loop, over aiohttp's connections, which the SDK has for a loop under load (ours does too)."""
    client = openai.AsyncOpenAI(max_retries=0, http_client=openai.DefaultAioHttpClient())

    async def ask(messages: Sequence[Message]) -> Message:
        answer: Any = await client.post("/chat/completions", body=_body(messages), cast_to=object)
        return _message(answer)

    return ask


def _body(messages: Sequence[Message]) -> dict[str, Any]:
    return {"model": MODEL, "messages": messages, "tools": TOOLS}


def _message(answer: Any) -> Message:
    message: Message = answer["choices"][0]["message"]
    return message
