"""Every log line of a turn or call tells which one it belongs to, whoever writes it and in which process."""

import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from messaging.logging import configure_logging
from orchestrator.model_client import ModelAnswer, ModelCall, ModelUnavailable
from orchestrator.scripted_model import ScriptedModel
from schemas.trace_ids import attempt_span_id, trace_id_of
from tests.in_process import deployment
from workers.registry import ToolRegistry

TOOLS = """
import logging
from datetime import timedelta
from trunkline import ToolContext, tool

@tool(pool="talking", effect="read")
async def on_the_loop(*, context: ToolContext) -> str:
    "Says something."
    context.logger.info("tool on the loop", api_key="canary-1")
    return "x"

@tool(pool="talking", effect="read")
def on_a_thread() -> str:
    "Says something."
    logging.getLogger("some.library").warning("library on a thread, password=%s", "canary-2")
    return "x"

@tool(pool="talking", effect="read", cpu_bound=True, timeout=timedelta(seconds=30))
def in_a_process(*, context: ToolContext) -> str:
    "Says something."
    context.logger.info("tool in a process", iban="canary-3")
    return "x"

@tool(pool="talking", effect="read")
def raising() -> str:
    "Fails."
    raise RuntimeError("token=canary-4")
"""
NAMES = ("on_the_loop", "on_a_thread", "in_a_process", "raising")


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """What is configured ends with the test."""
    root = logging.getLogger()
    before = list(root.handlers), root.level, sys.excepthook, threading.excepthook
    yield
    root.handlers[:], level, sys.excepthook, threading.excepthook = before
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.mark.usefixtures("logging_as_before")
async def test_lines_tell_their_step_and_no_secret(
    redis_url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "talking_tools.py"
    module.write_text(TOOLS)
    tools = ToolRegistry.load(modules=[str(module)], pools=["talking"], installed=[]).for_pool("talking")
    calls = [ModelCall(f"c{index}", name, "{}") for index, name in enumerate(NAMES)]
    unreachable = ModelUnavailable("Authorization: Bearer canary-5", retry_after_s=0.01)
    model = ScriptedModel.saying(unreachable, ModelAnswer(calls=calls), ModelAnswer(content="done"))
    settings = {"tools": str(module), "pool": "talking", "log_format": "json", "redact_fields": "iban"}
    configure_logging(log_format="json", hidden_fields=["iban"])
    async with deployment(redis_url, model=model, tools=tools, settings=settings) as running:
        result, _ = await running.run(caller={"tenant": "acme"}, timeout_ms=60_000)
    written = capfd.readouterr().err
    assert "canary" not in written
    lines = {line["event"]: line for line in map(json.loads, written.splitlines())}
    job, trace = result.job_id, trace_id_of(result.job_id)

    turn = lines["the model call failed and is tried again"]
    assert {name: turn[name] for name in ("job", "turn", "tenant", "trace_id", "span_id")} == {
        "job": job,
        "turn": 1,
        "tenant": "acme",
        "trace_id": trace,
        "span_id": attempt_span_id(f"{job}/1", 1),
    }
    said = ("tool on the loop", "library on a thread, password=***", "tool in a process", "a tool raised")
    for index, (name, event) in enumerate(zip(NAMES, said, strict=True)):
        line, call = lines[event], f"{job}/1/{index}"
        assert {each: line[each] for each in ("job", "turn", "call", "tenant", "trace_id", "span_id")} == {
            "job": job,
            "turn": 1,
            "call": call,
            "tenant": "acme",
            "trace_id": trace,
            "span_id": attempt_span_id(call, 1),
        }
        assert line["tool"].startswith(f"{name}@")
