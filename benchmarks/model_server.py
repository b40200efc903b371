"""A model's endpoint that takes next to no time: `python -m benchmarks.model_server` prints its port and serves.

A real HTTP server in a process of its own, on the bare protocol, so that what is measured is the contenders' way of
calling a model. A conversation that ends with a tool message gets a text, one that ends with `SLOW_QUESTION` gets it
after `SLOW_S`, one that ends with `question_for(n)` gets n calls of `look_up` or, if that is none, a text, and any
other one gets four calls. `GET` answers how many slow calls are in flight.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
from contextlib import AbstractContextManager
from functools import cache
from types import TracebackType
from typing import Final, Self, cast
from urllib.request import urlopen

import uvloop

from benchmarks.conversation import ANSWER
from messaging.processes.die_with_parent import guarded_command, way_of_this_platform

CALLS: Final = 4
SLOW_QUESTION: Final = "Think about the weather for a while."
SLOW_S: Final = 25.0
_PLACES: Final = ("Lisbon", "Porto", "Faro", "Braga")


def question_for(calls: int) -> str:
    """What to ask to get so many calls."""
    return f"What is the weather like in {calls} cities?"


_NUMBER: Final = re.compile(question_for(0).replace("0", r"(\d+)").replace("?", r"\?"))


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def _completion(message: dict[str, object], finish_reason: str) -> bytes:
    body = json.dumps(
        {
            "id": "chatcmpl-benchmark",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": "benchmark-model",
            "choices": [{"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}],
            "usage": {"prompt_tokens": 120, "completion_tokens": 60, "total_tokens": 180},
        }
    ).encode()
    return _response(body)


@cache
def _calls(number: int) -> bytes:
    calls = [
        {
            "id": f"call_{index}",
            "type": "function",
            "function": {
                "name": "look_up",
                "arguments": json.dumps({"place": _PLACES[index % len(_PLACES)], "days": 3}),
            },
        }
        for index in range(number)
    ]
    return _completion({"role": "assistant", "content": None, "refusal": None, "tool_calls": calls}, "tool_calls")


_TEXT: Final = _completion({"role": "assistant", "content": ANSWER, "refusal": None}, "stop")


class _Connection(asyncio.Protocol):
    """One kept-alive connection."""

    slow_calls_in_flight = 0

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._received += data
        while (end_of_head := self._received.find(b"\r\n\r\n")) >= 0:
            end = end_of_head + 4 + _content_length(self._received[:end_of_head])
            if len(self._received) < end:
                return
            request, self._received = self._received[:end], self._received[end:]
            if request.startswith(b"GET "):
                self._transport.write(_response(b"%d" % _Connection.slow_calls_in_flight))
            else:
                self._answer(json.loads(request[end_of_head + 4 :])["messages"][-1], self._transport)

    def _answer(self, last_message: dict[str, str], transport: asyncio.WriteTransport) -> None:
        if last_message["content"] == SLOW_QUESTION:
            _Connection.slow_calls_in_flight += 1
            asyncio.get_running_loop().call_later(SLOW_S, self._answer_at_last, transport)
        else:
            number = 0 if last_message["role"] == "tool" else _calls_wanted(last_message["content"])
            transport.write(_calls(number) if number else _TEXT)

    def _answer_at_last(self, transport: asyncio.WriteTransport) -> None:
        _Connection.slow_calls_in_flight -= 1
        if not transport.is_closing():
            transport.write(_TEXT)


@cache
def _calls_wanted(question: str) -> int:
    match = _NUMBER.fullmatch(question)
    return CALLS if match is None else int(match[1])


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class ModelServer(AbstractContextManager["ModelServer"]):
    """The server as a process of its own; ends with its `with` block, or with us."""

    def __enter__(self) -> Self:
        command = guarded_command(
            [sys.executable, "-m", "benchmarks.model_server"], parent=os.getpid(), way=way_of_this_platform()
        )
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.base_url = f"http://127.0.0.1:{int(self._process.stdout.readline())}/v1"
        return self

    def slow_calls_in_flight(self) -> int:
        """How many calls wait for their answer just now."""
        with urlopen(self.base_url, timeout=10) as answer:
            return int(answer.read())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()


if __name__ == "__main__":
    uvloop.run(_serve())
