"""What is accepted as a chat job, and what its refusal says."""

from typing import Any

import pytest
from pydantic import ValidationError

from messaging.envelopes import describe
from schemas.chat_job import ChatJob
from schemas.wire import new_conversation_id

USER = {"role": "user", "content": "hello"}
CALL = {
    "role": "assistant",
    "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ],
}


def tool_message(id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": "1"}


def refusal(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        ChatJob.model_validate({"messages": [USER], **fields})
    return describe(caught.value)


@pytest.mark.parametrize(
    "messages",
    [
        [USER],
        [{"role": "system", "content": "s"}, USER],
        [{"role": "developer", "content": "s"}, USER],
        [USER, {"role": "assistant", "content": "hi"}, USER],
        [USER, {"role": "assistant", "content": None, "refusal": "no"}, USER],
        [USER, CALL, tool_message("b"), tool_message("a")],
        [USER, CALL, tool_message("a"), tool_message("b"), USER],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}],
        [USER, {"role": "assistant", "content": "hi", "tool_calls": []}, USER],
    ],
)
def test_a_list_of_messages_that_a_model_takes_is_accepted(messages: list[dict[str, Any]]) -> None:
    assert len(ChatJob.model_validate({"messages": messages}).messages) == len(messages)


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "messages"),
        ([USER, {"role": "assistant", "content": "hi"}], "messages.1: the last message is the assistant's"),
        ([USER, tool_message("a")], "messages.1.tool_call_id: 'a' answers no call"),
        ([USER, CALL, tool_message("a")], "['b']"),
        ([USER, CALL, tool_message("a"), USER], "messages.3: the calls ['b'] before it have no tool message"),
        ([USER, CALL, tool_message("a"), tool_message("a")], "answers no call"),
        ([USER, CALL], "have no tool message"),
        ([{"role": "system", "content": "s"}], "only system messages"),
        ([{"role": "robot", "content": "s"}], "messages.0"),
        ([{"role": "user"}], "messages.0.user.content"),
    ],
)
def test_a_list_of_messages_that_no_model_takes_is_refused_with_the_place(
    messages: list[dict[str, Any]], words: str
) -> None:
    assert words in refusal(messages=messages)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model_parameters": {"temprature": 0.5}}, "model_parameters.temprature"),
        ({"model_parameters": {"temperature": 9}}, "model_parameters.temperature"),
        ({"reply_to": {"queue": "property", "actor": "a"}}, "reply_to.queue: a reply queue's name begins with"),
        ({"limits": {"turns": 0}}, "limits.turns"),
        ({"tools": ["no tool!"]}, "tools.0"),
        ({"conversation_id": "conv_1"}, "conversation_id"),
        ({"timeout_ms": 0}, "timeout_ms"),
        ({"schema_version": 99}, "schema_version"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_field_that_does_not_fit_is_named(fields: dict[str, Any], words: str) -> None:
    assert words in refusal(**fields)


def test_a_continuing_job_begins_with_a_new_message_of_the_user() -> None:
    words = refusal(conversation_id=new_conversation_id(), messages=[{"role": "assistant", "content": "hi"}, USER])
    assert "messages.0" in words


def test_a_refusal_does_not_repeat_what_was_given() -> None:
    assert "sk-secret" not in refusal(model_parameters={"seed": "sk-secret"})
