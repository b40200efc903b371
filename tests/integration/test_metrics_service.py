"""What a telemetry process does with metrics: one of several exports, and another one goes on where it left off."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import redis.asyncio
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from pydantic import SecretStr

from messaging.command_runner import PipeliningRunner
from messaging.embedded.embedded_redis import EmbeddedRedis
from messaging.settings import load_settings
from orchestrator.model_client import ModelAnswer, ModelCall
from orchestrator.scripted_model import ScriptedModel
from telemetry.facts_reader import FactsReader
from telemetry.metrics.instruments import INSTRUMENTS, exported_names
from telemetry.metrics.service import MetricsService
from telemetry.settings import TelemetrySettings
from tests.in_process import deployment
from tests.otlp_receiver import OtlpReceiver
from tests.redis_nodes import free_port
from workers.tool import tool

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


@tool(pool="p", effect="read")
def look() -> str:
    """Looks."""
    return "seen"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        yield receiver


def jobs(receiver: OtlpReceiver) -> list[tuple[int, float]]:
    """When the count of completed jobs began and what it was, of each export that had it."""
    return [
        (point.start_time_unix_nano, point.as_double)
        for request in receiver.metrics
        for metric in request.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "trunkline.jobs"
        for point in metric.sum.data_points
    ]


@dataclass
class Running:
    """A service, as if it had a process of its own."""

    port: int
    stop: asyncio.Event

    async def scrape(self) -> dict[str, float]:
        """The samples without labels or of one series only, by name."""
        text = await asyncio.to_thread(self._get, "/metrics")
        families: Any = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # not ours
        return {sample.name: sample.value for family in families for sample in family.samples}

    async def wait_for(self, name: str, value: float) -> dict[str, float]:
        async with asyncio.timeout(20):
            while (samples := await self.scrape()).get(name) != value:  # noqa: ASYNC110 - what is waited for is remote
                await asyncio.sleep(0.05)
        return samples

    def _get(self, path: str) -> str:
        with urlopen(Request(f"http://127.0.0.1:{self.port}{path}", headers=OPENMETRICS)) as answer:
            return str(answer.read().decode())


def settings_of(redis_url: str, port: int) -> TelemetrySettings:
    settings = load_settings(TelemetrySettings, redis_url=SecretStr(redis_url))
    return settings.model_copy(update={"prometheus_port": port})


@asynccontextmanager
async def service(redis_url: str) -> AsyncIterator[Running]:
    port = free_port()
    settings = settings_of(redis_url, port)
    client = redis.asyncio.Redis.from_url(redis_url)
    runner = PipeliningRunner(client, namespace=settings.key_prefix)
    stop = asyncio.Event()
    facts = FactsReader(runner, namespace=settings.key_prefix)
    task = asyncio.create_task(MetricsService(runner, settings, facts=facts, has_trace=lambda _: True).run(stop))
    running = Running(port, stop)
    try:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    await running.scrape()
                    break
                await asyncio.sleep(0.02)
        yield running
    finally:
        stop.set()
        await task
        await runner.close()
        await client.aclose()


def model() -> ScriptedModel:
    return ScriptedModel(lines=[ModelAnswer(calls=[ModelCall("a", "look", "{}")]), ModelAnswer(content="done")])


async def test_one_process_exports_and_another_goes_on_where_it_left_off(
    redis_url: str, receiver: OtlpReceiver
) -> None:
    async with service(redis_url) as first:
        await first.wait_for("trunkline_telemetry_leader", 1)
        async with service(redis_url) as second:
            async with deployment(redis_url, model=model(), tools=[look]) as running:
                await running.run(model="m")
                samples = await first.wait_for("trunkline_jobs_total", 1)
                assert samples["trunkline_tool_calls_total"] == samples["trunkline_tool_duration_seconds_count"] == 1
                assert samples["trunkline_jobs_active"] == 0
                assert samples["trunkline_feed_lag"] == 0
                known = {name for instrument in INSTRUMENTS for name in exported_names(instrument)}
                assert samples.keys() <= known
                assert await second.scrape() == {"trunkline_telemetry_leader": 0}
                first.stop.set()
                samples = await second.wait_for("trunkline_telemetry_leader", 1)
                assert samples["trunkline_jobs_total"] == 1
            async with deployment(redis_url, model=model(), tools=[look]) as running:
                await running.run(model="m")
            await second.wait_for("trunkline_jobs_total", 2)
            with pytest.raises(HTTPError, match="404"):
                await asyncio.to_thread(second._get, "/")
    exported = jobs(receiver)
    assert [count for _, count in exported] == sorted(count for _, count in exported)
    assert exported[-1][1] == 2
    assert len({since for since, _ in exported}) == 1
    resource = receiver.metrics[-1].resource_metrics[0].resource
    attributes = {each.key: each.value.string_value for each in resource.attributes}
    assert attributes["service.name"] == "trunkline"
    assert attributes["deployment.environment.name"] == "test"


async def test_a_port_that_is_taken_does_not_keep_the_metrics_from_being_kept(redis_url: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as taken:
        port = int(taken.server_address[1])
        settings = settings_of(redis_url, port)
        client = redis.asyncio.Redis.from_url(redis_url)
        runner = PipeliningRunner(client, namespace=settings.key_prefix)
        stop = asyncio.Event()
        facts = FactsReader(runner, namespace=settings.key_prefix)
        metrics = MetricsService(runner, settings, facts=facts, has_trace=lambda _: True)
        task = asyncio.create_task(metrics.run(stop))
        async with asyncio.timeout(10):
            while await metrics.collect() is None:  # noqa: ASYNC110 - what is waited for is remote
                await asyncio.sleep(0.02)
        stop.set()
        await task
        await runner.close()
        await client.aclose()


async def test_it_ends_also_when_redis_has_gone_for_good(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "redis", fsync="no") as server:
        settings = settings_of(server.url, free_port())
        client = redis.asyncio.Redis.from_url(server.url)
        runner = PipeliningRunner(client, namespace=settings.key_prefix)
        metrics = MetricsService(
            runner, settings, facts=FactsReader(runner, namespace=settings.key_prefix), has_trace=lambda _: True
        )
        stop = asyncio.Event()
        task = asyncio.create_task(metrics.run(stop))
        async with asyncio.timeout(10):
            while await metrics.collect() is None:  # noqa: ASYNC110 - what is waited for is remote
                await asyncio.sleep(0.02)
    stop.set()
    await asyncio.wait_for(task, 60)
    await client.aclose()
