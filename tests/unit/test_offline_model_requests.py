"""What the offline model refuses, how it heeds `tool_choice`, and how it spells its replies."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_offline_model_toys import (
    NOW,
    add,
    ask,
    calls_of,
    cancel_order,
    definition,
    get_time,
    lookup_order,
    weather,
)
from trunkline.offline_model import MODEL_NAME, Answer, BadRequest, decide, parse_request
from trunkline.offline_model.completion import body_of, chunks_of, completion_of, tokens_in

HELLO = {"role": "user", "content": "hello"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
ASKED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOLD = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "any", "messages": [HELLO], **fields}


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({}, "model"),
        ({"model": "any"}, "messages"),
        ({"model": "", "messages": [HELLO]}, "model"),
        (body(messages=[]), "messages"),
        (body(messages="hello"), "messages"),
        (body(messages=[{"role": "robot", "content": "x"}]), "messages[0].role"),
        (body(messages=[{"role": "user", "content": 7}]), "messages[0].content"),
        (body(messages=[{"role": "user"}]), "messages[0].content"),
        (body(messages=[HELLO, TOLD]), "messages[1].tool_call_id"),
        (body(messages=[HELLO, ASKED]), "messages[2]"),
        (body(messages=[HELLO, ASKED, HELLO]), "messages[2]"),
        (body(messages=[HELLO, ASKED, {"role": "tool", "content": "x"}]), "messages[2].tool_call_id"),
        (body(messages=[HELLO, ASKED, TOLD, TOLD]), "messages[3].tool_call_id"),
        (body(messages=[{**HELLO, "tool_calls": [CALL]}, TOLD]), "messages[0].tool_calls"),
        (body(tools=[{"type": "custom", "function": {"name": "f"}}]), "tools[0].type"),
        (body(tools=[{"type": "function", "function": {"name": "two words"}}]), "tools[0].function.name"),
        (body(tools=[definition(add), definition(add)]), "tools[1].function.name"),
        (body(tool_choice="required"), "tool_choice"),
        (body(tools=[definition(add)], tool_choice="sometimes"), "tool_choice"),
        (
            body(tools=[definition(add)], tool_choice={"type": "function", "function": {"name": "nothing"}}),
            "tool_choice.function.name",
        ),
        (body(n=2), "n"),
        (body(stream="perhaps"), "stream"),
        (body(response_format={"type": "json_object"}), "response_format.type"),
        (body(max_tokens=0), "max_tokens"),
        (body(functions=[]), "functions"),
        (body(function_call="auto"), "function_call"),
    ],
)
def test_a_wrong_body_is_refused_with_the_name_of_the_field(given: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_request(given)

    assert refused.value.param == param
    assert (
        param in refused.value.message or "tool_call" in refused.value.message or "Tool choice" in refused.value.message
    )


@pytest.mark.parametrize("given", [[], "text", None, 7])
def test_a_body_that_is_no_object_is_refused(given: Any) -> None:
    with pytest.raises(BadRequest):
        parse_request(given)


def test_fields_of_newer_clients_are_let_through() -> None:
    request = parse_request(body(temperature=0.2, seed=7, metadata={}, reasoning_effort="low", user="ana"))

    assert isinstance(decide(request, now=NOW), Answer)


def test_content_in_parts_is_read_as_its_text() -> None:
    parts = [{"type": "text", "text": "What's the weather"}, {"type": "text", "text": "in Paris?"}]
    request = parse_request(body(messages=[{"role": "user", "content": parts}], tools=[definition(weather)]))

    assert calls_of(decide(request, now=NOW)) == [("weather", {"city": "Paris"})]


def test_without_tools_it_answers_in_text() -> None:
    reply = ask("What's the weather in Paris?")

    assert isinstance(reply, Answer)
    assert "offers no tool" in reply.text


def test_tool_choice_none_keeps_it_from_calling() -> None:
    reply = ask("What's the weather in Paris?", weather, tool_choice="none")

    assert isinstance(reply, Answer)


def test_tool_choice_required_makes_it_call_something_harmless() -> None:
    reply = ask("hello", cancel_order, lookup_order, get_time, tool_choice="required")

    assert calls_of(reply) == [("get_time", {})]


def test_a_function_named_by_tool_choice_is_called_whatever_the_text_is_about() -> None:
    choice = {"type": "function", "function": {"name": "add"}}

    assert calls_of(ask("the weather in Paris, 2 and 3", weather, add, tool_choice=choice)) == [
        ("add", {"a": 2, "b": 3})
    ]


def test_a_forced_call_has_only_the_arguments_that_the_text_gives() -> None:
    choice = {"type": "function", "function": {"name": "weather"}}

    assert calls_of(ask("hello", weather, tool_choice=choice)) == [("weather", {})]


def test_a_forced_call_is_made_once() -> None:
    choice = {"type": "function", "function": {"name": "weather"}}
    request = parse_request(
        body(
            messages=[{"role": "user", "content": "weather in Paris"}, ASKED, TOLD],
            tools=[definition(weather)],
            tool_choice=choice,
        )
    )

    reply = decide(request, now=NOW)

    assert isinstance(reply, Answer)
    assert "sunny" in reply.text


def test_allowed_tools_narrow_the_choice() -> None:
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "add"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}

    assert calls_of(ask("weather in Paris", weather, add, tool_choice=choice)) == []


def test_the_model_that_answers_is_always_the_stand_in() -> None:
    request = parse_request(body(model="some-model-2000"))
    completion = completion_of(decide(request, now=NOW), request, created=7)

    assert body_of(completion)["model"] == MODEL_NAME
    assert "not-a-language-model" in MODEL_NAME


def test_a_stream_says_the_same_as_a_body() -> None:
    for text in ("hello", "What's the weather in Paris and Rome?"):
        request = parse_request(body(messages=[{"role": "user", "content": text}], tools=[definition(weather)]))
        completion = completion_of(decide(request, now=NOW), request, created=7)
        whole: Any = body_of(completion)
        chunks: Any = list(chunks_of(completion, include_usage=True))
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]

        assert "".join(delta.get("content") or "" for delta in deltas) == (
            whole["choices"][0]["message"]["content"] or ""
        )
        pieces: dict[int, str] = {}
        for call in (call for delta in deltas for call in delta.get("tool_calls", [])):
            pieces[call["index"]] = pieces.get(call["index"], "") + call["function"]["arguments"]
        calls = whole["choices"][0]["message"].get("tool_calls", [])
        assert list(pieces.values()) == [call["function"]["arguments"] for call in calls]
        assert chunks[-2]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
        assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], whole["usage"])


def test_an_answer_is_cut_at_the_token_limit() -> None:
    request = parse_request(body(max_completion_tokens=5))
    completion = completion_of(decide(request, now=NOW), request, created=7)

    assert completion.finish_reason == "length"
    assert completion.usage["completion_tokens"] == 5


def test_usage_grows_with_the_text() -> None:
    assert (tokens_in(""), tokens_in("word"), tokens_in("words")) == (0, 1, 2)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
KEYWORDS = st.sampled_from(
    ["type", "enum", "const", "items", "properties", "required", "anyOf", "$ref", "minimum", "x"]
)
SCHEMAS = st.recursive(
    st.dictionaries(KEYWORDS, JSON, max_size=4)
    | st.sampled_from(
        [{"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": "number"}}, {"type": "boolean"}]
    ),
    lambda inner: st.fixed_dictionaries(
        {
            "type": st.just("object"),
            "properties": st.dictionaries(
                st.sampled_from(["city", "count", "when", "to", "id", "x"]), inner, max_size=4
            ),
            "required": st.lists(st.sampled_from(["city", "count", "when", "x"]), max_size=3),
        }
    ),
    max_leaves=6,
)
TEXTS = st.sampled_from(
    ["find 3 things in Paris tomorrow at 3pm for ana@example.com", "thing #12 and thing 13: x", "no thing", ""]
)


@settings(deadline=None)  # a loaded machine is no fault
@given(schema=SCHEMAS, text=TEXTS, result=JSON)
def test_no_schema_and_no_result_breaks_it(schema: dict[str, Any], text: str, result: Any) -> None:
    function = {"name": "find_thing", "description": "Find a thing.", "parameters": schema}
    call = {"id": "c", "type": "function", "function": {"name": "find_thing", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "find things"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": json.dumps(result)},
    ]
    for history in ([], messages):
        request = parse_request(
            body(
                messages=[*history, {"role": "user", "content": text}],
                tools=[{"type": "function", "function": function}],
            )
        )
        decide(request, now=NOW)
    decide(parse_request(body(messages=messages, tools=[{"type": "function", "function": function}])), now=NOW)
