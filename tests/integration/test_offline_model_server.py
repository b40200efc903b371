"""The offline model's server through the real OpenAI SDK, and over plain sockets."""

import asyncio
import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit

import openai
import pytest
from openai.types.chat import ChatCompletionMessageFunctionToolCall, ChatCompletionMessageParam

from trunkline.offline_model import MODEL_NAME, OfflineModelServer

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city"],
        },
    },
}
REMIND: Any = {
    "type": "function",
    "function": {
        "name": "remind_me",
        "description": "Create a reminder.",
        "parameters": {
            "type": "object",
            "properties": {"text": {"type": "string"}, "when": {"type": "string", "format": "date-time"}},
            "required": ["text", "when"],
        },
    },
}


@pytest.fixture(scope="module")
def server() -> Iterator[OfflineModelServer]:
    with OfflineModelServer(clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def client(server: OfflineModelServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as connected:
        yield connected


def user(text: str) -> ChatCompletionMessageParam:
    return {"role": "user", "content": text}


def function_calls(calls: Any) -> list[ChatCompletionMessageFunctionToolCall]:
    return [call for call in calls or [] if isinstance(call, ChatCompletionMessageFunctionToolCall)]


def test_a_conversation_with_parallel_calls_ends_in_an_answer(client: openai.OpenAI) -> None:
    messages = [user("What's the weather in Paris and in Rome?")]
    first = client.chat.completions.create(model="any", messages=messages, tools=[WEATHER])

    assert first.model == MODEL_NAME
    assert first.choices[0].finish_reason == "tool_calls"
    assert first.choices[0].message.content is None
    calls = function_calls(first.choices[0].message.tool_calls)
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]

    messages.append(cast(ChatCompletionMessageParam, first.choices[0].message.model_dump(exclude_none=True)))
    messages.extend({"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 21}'} for call in calls)
    second = client.chat.completions.create(model="any", messages=messages, tools=[WEATHER])

    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.tool_calls is None
    answer = second.choices[0].message.content or ""
    assert "city Paris): temperature 21" in answer
    assert "not by a language model" in answer
    assert second.usage is not None
    assert second.usage.total_tokens == second.usage.prompt_tokens + second.usage.completion_tokens
    assert second.usage.prompt_tokens > (first.usage.prompt_tokens if first.usage else 0)


def test_the_server_s_clock_decides_what_tomorrow_is(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="any", messages=[user("remind me to call Ana tomorrow at 3pm")], tools=[REMIND]
    )
    (call,) = function_calls(reply.choices[0].message.tool_calls)

    assert json.loads(call.function.arguments) == {"text": "call Ana", "when": "2026-11-24T15:00:00+00:00"}
    assert reply.created == int(NOW.timestamp())


async def test_the_async_client_works(server: OfflineModelServer) -> None:
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        replies = await asyncio.gather(
            *(
                client.chat.completions.create(model="any", messages=[user(f"weather in {city}")], tools=[WEATHER])
                for city in ("Paris", "Rome", "Oslo", "Berlin")
            )
        )

    cities = [
        json.loads(call.function.arguments)["city"]
        for reply in replies
        for call in function_calls(reply.choices[0].message.tool_calls)
    ]
    assert cities == ["Paris", "Rome", "Oslo", "Berlin"]


def test_a_streamed_call_is_put_together_by_the_sdk(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="any",
        messages=[user("What's the weather in Paris and in Rome?")],
        tools=[WEATHER],
        stream_options={"include_usage": True},
    ) as stream:
        final = stream.get_final_completion()

    calls = function_calls(final.choices[0].message.tool_calls)
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Paris", "Rome"]
    assert len({call.id for call in calls}) == 2
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.usage is not None
    assert final.usage.completion_tokens > 0


def test_a_streamed_answer_comes_in_pieces_with_the_usage_last(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="any", messages=[user("hello")], stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    assert len(chunks) > 10
    assert "not by a language model" in text
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_stream_without_usage_has_none(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="any", messages=[user("hello")], stream=True))

    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


async def test_an_async_stream_works(server: OfflineModelServer) -> None:
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(model="any", messages=[user("hello")], stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert "not by a language model" in text


def test_a_bad_request_names_its_field(client: openai.OpenAI) -> None:
    orphan: ChatCompletionMessageParam = {"role": "tool", "tool_call_id": "x", "content": "y"}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="any", messages=[user("hello"), orphan])

    assert refused.value.param == "messages[1].tool_call_id"
    assert refused.value.type == "invalid_request_error"


def test_the_models_are_the_stand_in_alone(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL_NAME]
    assert client.models.retrieve(MODEL_NAME).id == MODEL_NAME
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("gpt-4o")
    assert missing.value.code == "model_not_found"


def _connection(server: OfflineModelServer) -> http.client.HTTPConnection:
    address = urlsplit(server.base_url)
    assert address.hostname is not None
    return http.client.HTTPConnection(address.hostname, address.port, timeout=10)


def _post(connection: http.client.HTTPConnection, body: str, path: str = "/v1/chat/completions") -> tuple[int, Any]:
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


HELLO = json.dumps({"model": "any", "messages": [{"role": "user", "content": "hello"}]})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/completions", 404),
        ("DELETE", "/v1/models", 501),
    ],
)
def test_what_it_does_not_serve_is_refused_in_the_api_s_form(
    server: OfflineModelServer, method: str, path: str, status: int
) -> None:
    connection = _connection(server)
    connection.request(method, path, "{}" if method == "POST" else None)
    response = connection.getresponse()

    assert response.status == status
    assert json.loads(response.read())["error"]["message"]
    connection.close()


@pytest.mark.parametrize("body", ["", "{", "[]", "7", '{"model": 1}', "[" * 100_000])
def test_a_broken_body_is_refused_and_the_connection_goes_on(server: OfflineModelServer, body: str) -> None:
    connection = _connection(server)
    status, answer = _post(connection, body)

    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert _post(connection, HELLO)[0] == 200
    connection.close()


def test_a_body_without_a_length_is_refused(server: OfflineModelServer) -> None:
    connection = _connection(server)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.endheaders()

    assert connection.getresponse().status == 411
    connection.close()


def test_one_connection_serves_many_requests(server: OfflineModelServer) -> None:
    connection = _connection(server)
    connection.connect()
    socket = connection.sock
    for _ in range(50):
        assert _post(connection, HELLO)[0] == 200

    assert connection.sock is socket
    connection.close()


def test_fifty_clients_are_served_at_once(server: OfflineModelServer) -> None:
    def talk(number: int) -> list[int]:
        connection = _connection(server)
        request = {"model": "any", "messages": [user(f"weather in Paris, Rome and Oslo {number}")], "tools": [WEATHER]}
        statuses = [_post(connection, json.dumps(request))[0] for _ in range(4)]
        connection.close()
        return statuses

    with ThreadPoolExecutor(50) as pool:
        statuses = [status for one in pool.map(talk, range(50)) for status in one]

    assert statuses == [200] * 200


def test_the_latency_is_kept() -> None:
    with OfflineModelServer(latency=timedelta(milliseconds=150)) as slow:
        connection = _connection(slow)
        before = time.monotonic()
        assert _post(connection, HELLO)[0] == 200
        assert time.monotonic() - before >= 0.15
        connection.close()


def test_stopping_closes_connections_that_clients_keep_open() -> None:
    with OfflineModelServer() as stopped:
        connection = _connection(stopped)
        assert _post(connection, HELLO)[0] == 200

    with pytest.raises((http.client.HTTPException, OSError)):
        _post(connection, HELLO)
    with pytest.raises(OSError, match=r"refused"):
        _connection(stopped).connect()
    connection.close()


def test_the_module_prints_its_address_and_ends_when_it_is_told_to() -> None:
    command = [sys.executable, "-m", "trunkline.offline_model", "--port", "0", "--latency-ms", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        with openai.OpenAI(base_url=said["base_url"], api_key="none", max_retries=0) as client:
            reply = client.chat.completions.create(model=said["model"], messages=[user("hello")])
        process.send_signal(signal.SIGTERM)
        status = process.wait(10)

    assert reply.model == said["model"] == MODEL_NAME
    assert status == 0
