"""What the model is told of an exception."""

import pytest

from workers.errors import NotDone, ToolFailed
from workers.failure_text import failure_text


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text today")


@pytest.mark.parametrize("kind", [ToolFailed, NotDone])
def test_what_a_tool_says_to_the_model_is_given_word_for_word(kind: type[Exception]) -> None:
    assert failure_text(kind("No room on Friday.\nTry token=any day.")) == "No room on Friday.\nTry token=any day."


def test_what_a_tool_says_is_capped_all_the_same() -> None:
    text = failure_text(ToolFailed("a" * 100_000))

    assert (len(text), text[-1]) == (4_000, "…")


def test_a_tool_that_fails_without_a_word_still_gives_a_text() -> None:
    assert failure_text(ToolFailed()) == "The tool failed and gave no reason."


def test_any_other_exception_is_its_class_and_message_on_one_line() -> None:
    assert failure_text(ValueError("bad\n  value:\t\x1b[31m3\x00")) == "ValueError: bad value: [31m3"
    assert failure_text(TimeoutError()) == "TimeoutError"


def test_no_stack_trace_and_no_cause_is_in_it() -> None:
    error = RuntimeError("outer")
    error.__cause__ = KeyError("inner")

    assert failure_text(error) == "RuntimeError: outer"


def test_a_long_message_is_cut() -> None:
    text = failure_text(RuntimeError("<html> " * 1_000_000))

    assert text.startswith("RuntimeError: <html> <html>")
    assert len(text) == len("RuntimeError: ") + 300


def test_a_group_of_one_is_told_as_the_one() -> None:
    assert (
        failure_text(ExceptionGroup("unhandled errors", [ToolFailed("The site is closed.")])) == "The site is closed."
    )
    assert failure_text(ExceptionGroup("two", [ValueError(), KeyError()])) == "ExceptionGroup: two (2 sub-exceptions)"


def test_an_exception_whose_text_cannot_be_had_is_told_by_its_class() -> None:
    assert failure_text(Unspeakable()) == "Unspeakable"


@pytest.mark.parametrize("exception", [ToolFailed("half a \ud83d"), ValueError("half a \ud83d")])
def test_the_text_can_always_be_stored(exception: Exception) -> None:
    assert "half a" in failure_text(exception).encode().decode()


@pytest.mark.parametrize(
    ("message", "secret"),
    [
        ("cannot connect to redis://default:hunter2@10.0.0.1:6379/0", "hunter2"),
        ("cannot connect to postgresql://app:p@ssw0rd@db/app", "w0rd"),
        ("GET https://ghp_0123456789abcdef@github.com/x failed", "ghp_0123456789abcdef"),
        ("Incorrect API key provided: sk-proj-abcdef0123456789", "abcdef0123456789"),
        ("401 for header Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
        ("401 for header Authorization: Basic dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy"),
        ("bearer eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl was refused", "eyJzdWIiOiIx"),
        ("connect(host='db', password='hunter2 and more')", "hunter2"),
        ('{"api_key": "hunter2", "city": "Ulm"}', "hunter2"),
        ("client_secret=hunter2&city=Ulm", "hunter2"),
        ("token: hunter2", "hunter2"),
        ("x" * 290 + " password=hunter2", "hunter2"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(message: str, secret: str) -> None:
    text = failure_text(ConnectionError(message))

    assert secret not in text
    assert text.startswith("ConnectionError: ")


def test_what_only_sounds_like_a_secret_is_left_for_the_model_to_read() -> None:
    message = "max_tokens=4096 is more than the 2048 tokens of https://api.example.com:8443/v1"

    assert failure_text(ValueError(message)) == f"ValueError: {message}"
