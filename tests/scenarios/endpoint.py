"""A scripted OpenAI-compatible endpoint over real HTTP, which can also do everything that endpoints do wrong.

A job names its script by its `model`. What a script says depends on the request alone: on its turn (how many assistant
messages follow the last user message) and on how often exactly this request came, so that whoever asks again after a
crash hears the same. The module knows nothing of Trunkline.
"""

import asyncio
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Final, Literal, Self

_REASONS: Final = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True)
class Request:
    """What the endpoint was asked."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    attempt: int
    """How often exactly these messages have come under this model's name, from 1."""
    at: float
    """When it came, by the endpoint's own clock, seconds."""

    @property
    def turn(self) -> int:
        """How many times the model has spoken since the last user message, from 0."""
        roles = [message["role"] for message in self.messages]
        last = max((index for index, role in enumerate(roles) if role == "user"), default=0)
        return roles[last:].count("assistant")

    @property
    def text(self) -> str:
        """The last user message."""
        return str([message["content"] for message in self.messages if message["role"] == "user"][-1])

    @property
    def results(self) -> list[str]:
        """The tool messages at the end, in order."""
        contents: list[str] = []
        for message in reversed(self.messages):
            if message["role"] != "tool":
                break
            contents.insert(0, message["content"])
        return contents

    @property
    def offered(self) -> list[str]:
        """The names of the tools that the model may call."""
        return [tool["function"]["name"] for tool in self.body.get("tools", ())]


@dataclass(frozen=True)
class Reply:
    """What the endpoint does."""

    body: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    """Waits that long before it answers."""
    instead: Literal["nothing", "drop", "truncate"] = "nothing"
    """`drop` closes the connection without an answer, `truncate` in the middle of it."""

    def after(self, seconds: float) -> "Reply":
        """The same, later."""
        return Reply(self.body, self.status, self.headers, seconds, self.instead)


Line = Reply | Callable[[Request], Reply]

DROPPED: Final = Reply(instead="drop")


def say(text: str | None, *, finish_reason: str = "stop") -> Reply:
    """A final answer."""
    return _completion({"role": "assistant", "content": text}, finish_reason)


def call(tool: str, *, id: str | None = None, raw: str | None = None, **arguments: Any) -> dict[str, Any]:
    """One call for `ask`: with arguments, or with `raw` text in their place; by default with a usual id."""
    text = json.dumps(arguments) if raw is None else raw
    return {"id": id, "type": "function", "function": {"name": tool, "arguments": text}}


def ask(*calls: Mapping[str, Any], content: str | None = None) -> Reply:
    """An answer with calls. Their ids are `call_0`, `call_1`, … in every turn, as with some real endpoints."""
    numbered = [{**one, "id": f"call_{index}" if one["id"] is None else one["id"]} for index, one in enumerate(calls)]
    return _completion({"role": "assistant", "content": content, "tool_calls": numbered}, "tool_calls")


def refuse(status: int, message: str, *, retry_after: str | None = None, code: str | None = None) -> Reply:
    """An error in OpenAI's form."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return Reply(json.dumps({"error": {"message": message, "code": code}}), status, headers)


def truncated(reply: Reply) -> Reply:
    """The same, cut off in the middle."""
    return Reply(reply.body, reply.status, reply.headers, reply.delay_s, "truncate")


def at_first(times: int, instead: Reply, then: Line) -> Line:
    """A line that goes wrong `times` times before it is said."""

    def line(request: Request) -> Reply:
        return instead if request.attempt <= times else _spoken(then, request)

    return line


class Endpoint:
    """The endpoint, on a thread of its own. Use it in a `with` statement.

    Args:
        remembers: Whether `requests` can tell what it was asked, which is much after tens of thousands of requests.
    """

    def __init__(self, *, remembers: bool = True) -> None:
        self._remembers = remembers
        self._scripts: dict[str, Sequence[Line]] = {}
        self._requests: defaultdict[str, list[Request]] = defaultdict(list)
        self._seen: Counter[str] = Counter()
        self._numbers = count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="endpoint", daemon=True)
        self.url = ""
        """What OPENAI_BASE_URL is set to."""
        self.in_flight = 0
        """Requests that wait for their answer now."""

    def __enter__(self) -> Self:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.url = f"http://127.0.0.1:{port}/v1"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def script(self, *lines: Line) -> str:
        """A model that says `lines`, one in each turn, and the last one for ever; answers the model's name."""
        name = f"model-{next(self._numbers)}"
        self._scripts[name] = lines
        return name

    def requests(self, model: str) -> Sequence[Request]:
        """What a model was asked so far."""
        return list(self._requests[model])

    async def _listen(self) -> int:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**24)
        return int(server.sockets[0].getsockname()[1])

    async def _hang_up(self) -> None:
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))))
        request = self._note(body, headers)
        reply = self._reply(request)
        self.in_flight += 1
        try:
            await asyncio.sleep(reply.delay_s)
        finally:
            self.in_flight -= 1
        if reply.instead == "drop":
            return False
        content = reply.body.encode()
        fields = {"content-type": "application/json", "content-length": len(content), **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Error')}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        if reply.instead == "truncate":
            content = content[: len(content) // 2]
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        await writer.drain()
        return reply.instead == "nothing"

    def _note(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Request:
        model = body["model"]
        question = f"{model} {json.dumps(body['messages'])}"
        self._seen[question] += 1
        request = Request(model, body["messages"], body, headers, self._seen[question], self._loop.time())
        if self._remembers:
            self._requests[model].append(request)
        return request

    def _reply(self, request: Request) -> Reply:
        lines = self._scripts.get(request.model)
        if not lines:
            return refuse(404, f"The model `{request.model}` does not exist")
        return _spoken(lines[min(request.turn, len(lines) - 1)], request)


def _spoken(line: Line, request: Request) -> Reply:
    return line if isinstance(line, Reply) else line(request)


def _completion(message: Mapping[str, Any], finish_reason: str) -> Reply:
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    return Reply(json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": usage}))
