"""Jobs of every kind, traced to a real OTLP receiver: each trace is one tree that says what the ledger says."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from messaging.command_runner import PipeliningRunner
from messaging.limits import pause_queue
from messaging.redis_access.connections import async_client
from messaging.settings import load_settings
from orchestrator.model_client import ModelAnswer, ModelCall, ModelRefused, ModelUnavailable
from orchestrator.scripted_model import ScriptedModel
from schemas.events import CallEnded
from schemas.job_result import JobResult
from telemetry.facts_reader import FactsReader
from telemetry.feed import FeedReader
from telemetry.process import feed_readers
from telemetry.settings import TelemetrySettings
from telemetry.traces.job_spans import spans_so_far
from tests.in_process import InProcess, deployment
from tests.otlp_receiver import OtlpReceiver
from tests.trace_tree import Node, check_trace, critical_path, tree_of
from workers.context import ToolContext
from workers.errors import ToolFailed
from workers.tool import Retries, Tool, tool

CANARY = "c4nary-of-the-test"


@tool(pool="p", effect="read")
async def look(text: str) -> str:
    """Looks."""
    await asyncio.sleep(0.02)
    return f"seen {text} {CANARY}"


@tool(pool="p", effect="read", retries=Retries(max_attempts=3, backoff=timedelta(milliseconds=50)))
async def stumble(*, context: ToolContext) -> str:
    """Fails twice."""
    if context.attempt < 3:
        raise ToolFailed(f"not yet, {CANARY}")
    return "at last"


@tool(pool="p", effect="read")
async def fail() -> str:
    """Fails."""
    raise ToolFailed(CANARY)


@tool(pool="p", effect="read")
async def linger() -> str:
    """Takes long."""
    await asyncio.sleep(30)
    return "never"


TOOLS = (look, stumble, fail, linger)


def asks(*calls: tuple[str, dict[str, Any]]) -> ModelAnswer:
    return ModelAnswer(
        calls=[ModelCall(f"c{index}", name, json.dumps(given)) for index, (name, given) in enumerate(calls)],
        finish_reason="tool_calls",
        prompt_tokens=7,
        completion_tokens=3,
    )


def says(text: str = "done") -> ModelAnswer:
    return ModelAnswer(content=text, finish_reason="stop", response_model="m-1", prompt_tokens=9, completion_tokens=2)


class Traced:
    """A deployment, a receiver, and a reader of the feed that exports to it."""

    def __init__(self, running: InProcess, model: ScriptedModel, receiver: OtlpReceiver, reader: FeedReader) -> None:
        self.running = running
        self.model = model
        self.receiver = receiver
        self.reader = reader

    async def trace(self, *lines: Any, **fields: Any) -> tuple[Node, JobResult]:
        """Runs a job with what the model says, and returns its checked trace."""
        self.model.will_say(lines)
        accepted = await self.running.client.submit(fields.pop("text", f"go {CANARY}"), **fields)
        return await self.trace_of(accepted.job_id)

    async def trace_of(self, job_id: str) -> tuple[Node, JobResult]:
        result = await self.running.client.result(job_id, timeout=timedelta(seconds=20))
        while await self.reader.read_once():
            pass
        root = tree_of(self.receiver.received, job_id)
        check_trace(root, result, await self.running.client.calls(job_id))
        return root, result


def telemetry_settings(redis_url: str, receiver: OtlpReceiver, **more: Any) -> TelemetrySettings:
    return load_settings(
        TelemetrySettings, **{"redis_url": SecretStr(redis_url), "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, **more}
    )


@asynccontextmanager
async def traced(redis_url: str, *, tools: Sequence[Tool[..., Any]] = TOOLS, **settings: Any) -> AsyncIterator[Traced]:
    model = ScriptedModel(otherwise=says())
    async with AsyncExitStack() as stack:
        receiver = stack.enter_context(OtlpReceiver())
        running = await stack.enter_async_context(deployment(redis_url, model=model, tools=tools))
        of_telemetry = telemetry_settings(redis_url, receiver, **settings)
        client = async_client(of_telemetry)
        stack.push_async_callback(client.aclose)
        runner = PipeliningRunner(client, namespace=of_telemetry.key_prefix)
        stack.push_async_callback(runner.close)
        facts = FactsReader(runner, namespace=of_telemetry.key_prefix)
        (reader,) = [one for one in feed_readers(of_telemetry, runner, facts, stack) if one.group == "traces"]
        yield Traced(running, model, receiver, reader)


async def test_every_kind_of_job_leaves_one_tree_that_agrees_with_the_ledger(redis_url: str) -> None:
    async with traced(redis_url) as system:
        await _parallel_calls(system)
        await _a_call_that_is_tried_again(system)
        await _a_model_that_is_tried_again(system)
        await _calls_that_fail_and_are_refused(system)
        await _a_job_that_fails(system)
        await _a_job_that_is_cancelled(system)
        await _a_job_that_expires(system)
        await _a_job_that_ends_before_its_turn_is_fetched(system)
        await _a_job_that_expires_before_the_next_try(system)
        await _a_call_that_nobody_fetched(system)
        await _a_conversation_that_goes_on(system)
        await _a_trace_of_the_upstream(system)
        assert not [body for body in system.receiver.bodies if CANARY.encode() in body]
        assert {one["service.name"] for one in system.receiver.resources} == {"trunkline"}


async def _parallel_calls(system: Traced) -> None:
    hidden: dict[str, Any] = {"metadata": {"note": CANARY}, "caller": {"user": CANARY, "permissions": [CANARY]}}
    root, result = await system.trace(
        asks(*[("look", {"text": str(n)}) for n in range(4)]), says(), agent="searcher", **hidden
    )
    assert root.name == "invoke_agent searcher"
    assert [child.name for child in root.children if not child.name.startswith("execute_tool")] == [
        "send orchestrator",
        "queue.wait orchestrator",
        "process orchestrator",
        "gather",
        "queue.wait orchestrator",
        "process orchestrator",
    ]
    tools = root.named("execute_tool look")
    assert [[child.name for child in one.children] for one in tools] == [["queue.wait p", "process p"]] * 4
    first, last = root.named("process orchestrator")
    assert [child.name for child in first.children] == ["chat gpt-5-mini", "send p"]
    assert first.children[1].attributes["messaging.batch.message_count"] == 4
    chat = last.children[0].attributes
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.response.finish_reasons"]) == (9, ["stop"])
    assert root.attributes["gen_ai.conversation.id"] == result.conversation_id
    assert not root.failed


async def _a_call_that_is_tried_again(system: Traced) -> None:
    root, _ = await system.trace(asks(("stumble", {})), says())
    (call,) = root.named("execute_tool stumble")
    assert [child.name for child in call.children] == [
        "queue.wait p",
        "process p",
        *["retry.wait p", "queue.wait p", "process p"] * 2,
    ]
    assert [one.attributes["trunkline.attempt.end"] for one in call.named("process p")] == [
        "retried",
        "retried",
        "done",
    ]
    assert [node.name for node in critical_path(root)].count("process p") == 3


async def _a_model_that_is_tried_again(system: Traced) -> None:
    too_many = ModelUnavailable("slow down", retry_after_s=0.1, error_type="429")
    root, _ = await system.trace(too_many, says())
    names = [child.name for child in root.children]
    assert names[2:] == [
        "process orchestrator",
        "ratelimit.wait orchestrator",
        "queue.wait orchestrator",
        "process orchestrator",
    ]
    failed, done = root.named("chat")
    assert (failed.failed, failed.attributes["error.type"], done.failed) == (True, "429", False)


async def _calls_that_fail_and_are_refused(system: Traced) -> None:
    root, _ = await system.trace(asks(("fail", {}), (CANARY, {}), ("look", {"wrong": CANARY})), says())
    outcomes = {one.name: one.attributes["trunkline.call.outcome"] for one in root.named("execute_tool")}
    assert outcomes == {
        "execute_tool fail": "failed",
        "execute_tool unknown": "rejected",
        "execute_tool look": "rejected",
    }


async def _a_job_that_fails(system: Traced) -> None:
    root, result = await system.trace(ModelRefused(f"no {CANARY}", error_type="401"))
    assert result.state == "failed"
    assert root.attributes["error.type"] == "model_error"
    assert root.named("chat")[0].attributes["error.type"] == "401"


async def _a_job_that_is_cancelled(system: Traced) -> None:
    system.model.will_say([asks(("linger", {}), ("look", {"text": "x"}))])
    accepted = await system.running.client.submit("go")
    async for event in system.running.client.events(accepted.job_id):
        if isinstance(event, CallEnded):  # the other one lingers
            break
    await system.running.client.cancel(accepted.job_id, reason=CANARY)
    root, _ = await system.trace_of(accepted.job_id)
    assert root.attributes["trunkline.job.state"] == "cancelled"
    (lingering,) = root.named("execute_tool linger")
    assert lingering.children[-1].attributes["trunkline.attempt.end"] == "stopped"


async def _a_job_that_expires(system: Traced) -> None:
    root, result = await system.trace(asks(("linger", {})), timeout_ms=700)
    assert result.state in ("expired", "completed", "failed")
    assert root.named("execute_tool linger")[0].failed


async def _a_job_that_ends_before_its_turn_is_fetched(system: Traced) -> None:
    async with paused(system, "orchestrator"):
        accepted = await system.running.client.submit("go")
        await asyncio.sleep(0.3)
        read = await FactsReader(system.reader.runner, namespace="{trunkline}").read([accepted.job_id])
        facts = read[accepted.job_id]
        assert facts is not None
        assert spans_so_far(facts, now_us=time.time_ns() // 1000)[-1].name == "queue.wait orchestrator"
        await system.running.client.cancel(accepted.job_id)
        root, _ = await system.trace_of(accepted.job_id)
    assert [child.name for child in root.children] == ["send orchestrator", "queue.wait orchestrator"]


async def _a_job_that_expires_before_the_next_try(system: Traced) -> None:
    too_many = ModelUnavailable("slow down", retry_after_s=60, error_type="429")
    root, result = await system.trace(too_many, timeout_ms=500)
    assert result.state == "expired"
    assert root.children[-1].name == "ratelimit.wait orchestrator"


async def _a_call_that_nobody_fetched(system: Traced) -> None:
    async with paused(system, "p"):
        root, result = await system.trace(asks(("look", {"text": "x"})), timeout_ms=500)
    assert result.state == "expired"
    (call,) = root.named("execute_tool look")
    assert [child.name for child in call.children] == ["queue.wait p"]


@asynccontextmanager
async def paused(system: Traced, queue: str) -> AsyncIterator[None]:
    """No message of the queue is fetched."""
    await system.reader.runner.run(pause_queue(queue, paused=True))
    yield
    await system.reader.runner.run(pause_queue(queue, paused=False))


async def _a_conversation_that_goes_on(system: Traced) -> None:
    first, result = await system.trace(asks(("look", {"text": "x"})), says())
    system.model.will_say([asks(("look", {"text": "y"})), says(), says()])
    jobs = [await system.running.client.submit("more", conversation_id=result.conversation_id) for _ in range(2)]
    second, _ = await system.trace_of(jobs[0].job_id)
    third, _ = await system.trace_of(jobs[1].job_id)
    for before, after in ((first, second), (second, third)):
        (link,) = after.span.links
        assert (link.trace_id, link.span_id) == (before.span.trace_id, before.span.span_id)
    assert third.children[0].name == "conversation.wait"


async def _a_trace_of_the_upstream(system: Traced) -> None:
    upstream = f"00-{'ab' * 16}-{'cd' * 8}-01"
    root, _ = await system.trace(asks(("look", {"text": "x"})), says(), traceparent=upstream)
    assert (root.span.trace_id.hex(), root.span.parent_span_id.hex()) == ("ab" * 16, "cd" * 8)
