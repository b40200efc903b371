"""Log lines: where they go, what they look like, and what they do not show."""

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
import structlog

from messaging.log_context import bind_message
from messaging.logging import configure_logging
from messaging.redaction import redact_fields

ReadLines = Callable[[], list[dict[str, object]]]


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """What a test configures ends with it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    redact_fields(())
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> ReadLines:
    """Reads the lines that were written since it was last called."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def bound(**variables: object) -> AbstractContextManager[None]:
    return structlog.contextvars.bound_contextvars(**variables)


def test_a_line_is_json_with_what_was_bound(lines: ReadLines) -> None:
    configure_logging(process_role="worker")
    with bound(job="job_a_1", turn=2, trace_id="abc"):
        structlog.get_logger("pool").info("call done", tool="search", ms=1.5)
    (line,) = lines()
    assert line.pop("timestamp")
    assert line == {
        "event": "call done",
        "level": "info",
        "logger": "pool",
        "process": "worker",
        "job": "job_a_1",
        "turn": 2,
        "trace_id": "abc",
        "tool": "search",
        "ms": 1.5,
    }


@pytest.mark.parametrize("library", ["dramatiq.worker", "redis", "anything"])
def test_lines_of_libraries_look_the_same(lines: ReadLines, library: str) -> None:
    configure_logging(process_role="worker")
    with bound(call="job_a_1/1/0"):
        logging.getLogger(library).warning("%d messages back", 3, extra={"queue": "web"})
    (line,) = lines()
    assert line["event"] == "3 messages back"
    assert (line["logger"], line["level"], line["process"]) == (library, "warning", "worker")
    assert (line["call"], line["queue"]) == ("job_a_1/1/0", "web")


def test_secrets_are_hidden_from_values_texts_and_tracebacks(lines: ReadLines) -> None:
    configure_logging()
    log = structlog.get_logger("x")
    log.info("connecting", url="redis://ann:hunter2@host", api_key="hunter2", options={"password": "hunter2"})
    log.info("with sk-hunter2hunter2")
    logging.getLogger("redis").warning("lost %s", "redis://ann:hunter2@host", extra={"token": "hunter2"})
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        log.exception("failed")
        logging.getLogger("dramatiq").exception("failed too")
    written = lines()
    assert len(written) == 5
    assert all("ValueError: password=***" in str(line["exception"]) for line in written[3:])
    assert "hunter2" not in str(written)


def test_only_the_level_that_was_asked_for_is_shown(lines: ReadLines) -> None:
    configure_logging("warning")
    structlog.get_logger("x").info("small talk")
    logging.getLogger("redis").info("small talk")
    structlog.get_logger("x").warning("news")
    assert [line["event"] for line in lines()] == ["news"]


def test_clients_of_the_model_do_not_log_every_request_and_never_a_prompt(lines: ReadLines) -> None:
    configure_logging("info")
    logging.getLogger("httpx2").info("POST …")
    configure_logging("debug")
    logging.getLogger("openai._base_client").debug("a prompt")
    logging.getLogger("httpx2").info("POST …")
    assert [line["event"] for line in lines()] == ["POST …"]


def test_warnings_are_log_lines(lines: ReadLines) -> None:
    configure_logging()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("this will go away", DeprecationWarning, stacklevel=1)
    assert "this will go away" in str(lines()[0]["event"])


def test_configuring_again_replaces_what_was_set_up(lines: ReadLines) -> None:
    log = structlog.get_logger("x")
    configure_logging(process_role="supervisor")
    log.info("one")
    configure_logging(process_role="worker")
    log.info("two")
    assert [(line["event"], line["process"]) for line in lines()] == [("one", "supervisor"), ("two", "worker")]


def test_a_value_that_is_no_json_is_shown_as_text(lines: ReadLines) -> None:
    configure_logging()
    structlog.get_logger("x").info("odd", value={1, 2}, error=OSError("gone"))
    (line,) = lines()
    assert (line["value"], line["error"]) == ("{1, 2}", "OSError('gone')")


def test_a_person_at_a_terminal_gets_a_readable_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    configure_logging()
    structlog.get_logger("x").info("call done", tool="search")
    text = terminal.getvalue()
    assert "call done" in text
    assert not text.startswith("{")


def test_the_format_can_be_forced(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    configure_logging(log_format="console")
    structlog.get_logger("x").info("call done", password="hunter2")
    text = capsys.readouterr().err
    assert "password=***" in text
    assert "\x1b" not in text  # no colours where nobody sees them
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    configure_logging(log_format="json")
    structlog.get_logger("x").info("call done")
    assert json.loads(terminal.getvalue())["event"] == "call done"


def test_fields_that_were_set_are_hidden_too(lines: ReadLines) -> None:
    configure_logging(hidden_fields=["card_number"])
    structlog.get_logger("x").info("paid", cardNumber=4111, body='{"card-number": 4111, "cards": 4}')
    (line,) = lines()
    assert (line["cardNumber"], line["body"]) == ("***", '{"card-number": "***", "cards": 4}')


def test_what_ends_a_process_or_a_thread_is_a_line_without_secrets(lines: ReadLines) -> None:
    configure_logging(process_role="worker")

    def fail() -> None:
        raise ValueError("password=hunter2")

    thread = threading.Thread(target=fail, name="beats")
    thread.start()
    thread.join()
    try:
        fail()
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    of_thread, of_process = lines()
    assert (of_thread["event"], of_thread["thread"], of_thread["level"]) == ("a thread ends", "beats", "error")
    assert (of_process["event"], of_process["level"]) == ("the process ends", "critical")
    assert all(str(line["exception"]).endswith("ValueError: password=***") for line in (of_thread, of_process))


JOB = "job_a_01h8xgjwbwbaq4g2cs8ay1qzwv"


@pytest.mark.parametrize(
    ("message", "bound"),
    [
        (f"{JOB}/3/1~88", {"job": JOB, "turn": 3, "call": f"{JOB}/3/1"}),
        (f"{JOB}/3~88", {"job": JOB, "turn": 3}),
        (f"{JOB}/expiry~88", {"job": JOB}),
        ("0b4c-of-somebody-else", {}),
    ],
)
def test_lines_tell_the_step_that_a_message_is_for(lines: ReadLines, message: str, bound: dict[str, object]) -> None:
    configure_logging()
    bind_message(f"{JOB}/9/9~1")
    bind_message(message)
    logging.getLogger("redis").warning("slow")
    (line,) = lines()
    assert {name: line[name] for name in ("job", "turn", "call") if name in line} == bound
    assert line["message"] == message
    bind_message(None)
    logging.getLogger("redis").warning("idle")
    assert "message" not in lines()[0]
