"""What is exported when: long jobs turn by turn, shares, content, a collector that is away; spans of libraries."""

import asyncio
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
import redis.asyncio
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.dbapi import instrument_connection
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from ledger.feed import read_feed_counts
from messaging.limits import QueueLimits, Rate, set_queue_limits
from orchestrator.model_client import ModelRefused
from telemetry import job_facts, otlp_http
from telemetry.facts_reader import FactsReader
from telemetry.feed import FeedReader
from telemetry.metrics.fields import read_series
from telemetry.metrics.instruments import FEED_UNMEASURED, JOBS
from telemetry.metrics.keeper import METRICS_GROUP, MetricsKeeper
from telemetry.metrics.measuring import Measuring
from telemetry.metrics.prices import Prices
from telemetry.metrics.store import read_metrics
from tests.integration.test_traces import CANARY, asks, says, traced
from tests.otlp_receiver import OtlpReceiver
from tests.scenarios.waiting import wait_until
from tests.trace_tree import check_trace, tree_of, unique_spans
from workers.tool import tool

NAMESPACE = "{trunkline}"


async def test_a_long_job_is_told_turn_by_turn_and_nothing_twice(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_facts, "LONG_JOB_US", 60_000)
    async with traced(redis_url) as system:
        system.model.will_say([asks(("look", {"text": str(n)})) for n in range(6)])
        accepted = await system.running.client.submit("go")
        so_far: list[str] = []
        before_the_end: list[str] = []
        while not (await system.running.client.get(accepted.job_id)).has_ended:
            before_the_end = so_far
            await system.reader.read_once()
            so_far = [span.name for span in system.receiver.received]
            await asyncio.sleep(0.02)
        assert "execute_tool look" in before_the_end
        assert "invoke_agent" not in before_the_end
        root, _ = await system.trace_of(accepted.job_id)
        assert len(root.named("execute_tool look")) == 6
        assert len(unique_spans(system.receiver.received)) == len(system.receiver.received)


async def test_of_unremarkable_jobs_a_share_is_kept_and_all_that_failed_or_the_upstream_asks_for(
    redis_url: str,
) -> None:
    sampler: dict[str, Any] = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
    async with traced(redis_url, **sampler) as system:
        plain, _ = await system.running.run("plain")
        await system.trace(ModelRefused("no", error_type="401"))
        await system.trace(asks(("stumble", {})), says())
        await system.trace(says(), traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01")
        with pytest.raises(AssertionError, match="0 roots"):
            tree_of(system.receiver.received, plain.job_id)
        counts = await system.reader.runner.run(read_feed_counts(NAMESPACE, "traces"))
        assert (counts["unsampled"], counts["spans"]) == (1, len(system.receiver.received))


async def test_what_was_said_is_on_spans_only_where_somebody_opted_in(redis_url: str) -> None:
    capture: dict[str, Any] = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only"}
    async with traced(redis_url, **capture) as system:
        root, _ = await system.trace(asks(("look", {"text": "x"})), says("my answer"))
        chats, (tool_span,) = root.named("chat"), root.named("execute_tool")
        assert CANARY in chats[0].attributes["gen_ai.input.messages"]
        assert "my answer" in chats[1].attributes["gen_ai.output.messages"]
        assert tool_span.attributes["gen_ai.tool.call.arguments"] == '{"text": "x"}'
        assert CANARY in tool_span.attributes["gen_ai.tool.call.result"]


async def test_a_queues_rate_shows_as_throttled_wait(redis_url: str) -> None:
    async with traced(redis_url) as system:
        await system.reader.runner.run(set_queue_limits("p", QueueLimits(rate=Rate(5))))
        root, _ = await system.trace(asks(*[("look", {"text": str(n)}) for n in range(4)]), says())
        waits = root.named("queue.wait p")
        throttled_s = sorted(wait.attributes["trunkline.queue.throttled"] for wait in waits)
        took_s = sorted((wait.end_us - wait.start_us) / 1e6 for wait in waits)
        assert throttled_s[0] == 0
        assert throttled_s[-1] >= 0.3
        assert all(part <= whole + 1e-5 for part, whole in zip(throttled_s, took_s, strict=True))


async def test_a_collector_that_is_away_loses_nothing_and_what_it_refuses_is_counted(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_http, "_FIRST_PAUSE_S", 0.02)
    async with traced(redis_url, OTEL_EXPORTER_OTLP_COMPRESSION="gzip") as system:
        system.receiver.answer = 503
        result, _ = await system.running.run()
        reading = asyncio.create_task(system.reader.read_once())
        await wait_until(lambda: system.receiver.refused >= 2, "the exporter to try again")
        assert not reading.done()
        system.receiver.answer = 200
        assert await reading == 1
        check_trace(tree_of(system.receiver.received, result.job_id), result, [])
        system.receiver.answer = 400
        await system.running.run()
        await system.reader.read_once()
        counts = await system.reader.runner.run(read_feed_counts(NAMESPACE, "traces"))
        assert (counts["spans"], counts["dropped"] > 0) == (len(system.receiver.received), True)


async def test_a_job_that_a_newer_process_wrote_of_holds_up_no_other(redis_url: str) -> None:
    async with traced(redis_url) as system:
        newer, _ = await system.running.run()
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            event: Any = {"type": "of_the_future", "at": 1, "data": "{}"}
            await client.xadd(f"{NAMESPACE}:job:{newer.job_id}:events", event)
        await system.trace(says())
        facts = FactsReader(system.reader.runner, namespace=NAMESPACE)
        measuring = Measuring(prices=Prices(), has_trace=lambda _: True)
        keeper = MetricsKeeper(system.reader.runner, facts=facts, measuring=measuring, reader="r")
        await FeedReader(system.reader.runner, group=METRICS_GROUP, handle=keeper.handle, name="r").read_once()
        counts = await system.reader.runner.run(read_feed_counts(NAMESPACE, "traces"))
        measured = read_series([(await system.reader.runner.run(read_metrics())).totals])
    assert (counts["unreadable"], measured[FEED_UNMEASURED].numbers) == (1, {("unreadable",): 1})
    assert sum(measured[JOBS].numbers.values()) == 1


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


async def test_spans_that_a_tools_libraries_create_hang_under_its_attempt(
    redis_url: str, receiver: OtlpReceiver
) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{receiver.url}/v1/traces")))

    @tool(pool="own", effect="read")
    def count_rows() -> int:
        """Counts."""
        plain = sqlite3.connect(":memory:")
        connection = instrument_connection("test", plain, "sqlite", tracer_provider=provider)
        (number,) = connection.cursor().execute("SELECT count(*) FROM sqlite_master").fetchone()
        traceparents.append(format(trace.get_current_span().get_span_context().span_id, "016x"))
        return int(number)

    @tool(pool="own", effect="read")
    async def work_on_the_loop() -> str:
        """Works."""
        with provider.get_tracer("test").start_as_current_span("inner"):
            return "done"

    traceparents: list[str] = []
    tools = (count_rows, work_on_the_loop)
    async with traced(redis_url, tools=tools, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url) as system:
        system.model.will_say([asks(("count_rows", {}), ("work_on_the_loop", {}))])
        result, _ = await system.running.run()
        while await system.reader.read_once():
            pass
        root = tree_of(receiver.received, result.job_id)
        (counting,), (working,) = root.named("execute_tool count_rows"), root.named("execute_tool work_on_the_loop")
        (query,) = counting.named("process own")[0].children
        assert query.attributes["db.system"] == "sqlite"
        assert traceparents == [counting.named("process own")[0].id]
        assert [node.name for node in working.named("process own")[0].children] == ["inner"]
