"""A telemetry process: `python -m telemetry`, or `trunkline telemetry`."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import structlog

from messaging.command_runner import PipeliningRunner
from messaging.logging import configure_logging
from messaging.processes.event_loop import forget_garbage, run_on_a_loop
from messaging.redis_access.clients import connection_errors
from messaging.redis_access.connections import async_client
from messaging.settings import load_settings, resolve_redis_url
from telemetry.facts_reader import FactsReader
from telemetry.feed import FeedReader
from telemetry.metrics.keeper import METRICS_GROUP
from telemetry.metrics.measuring import HasTrace
from telemetry.metrics.service import MetricsService
from telemetry.otlp_http import OtlpHttpExporter
from telemetry.settings import TelemetrySettings
from telemetry.traces.tracing import TraceExporter

#: The group of readers that export traces.
TRACES = "traces"
#: For a last export and for leaving, after a stop.
_STOP_TIMEOUT_S: Final = 6.0
#: The facts of a batch are many objects that all live for half a second and hold no cycles: with Python's own threshold
#: a tenth of the time went into looking at them.
_OBJECTS_BETWEEN_COLLECTIONS: Final = 20_000

_log = structlog.get_logger(__name__)


async def run(settings: TelemetrySettings) -> None:
    """Reads the feed until SIGTERM or SIGINT."""
    client = async_client(settings)
    runner = PipeliningRunner(client, namespace=settings.key_prefix)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    closing = AsyncExitStack()
    facts = FactsReader(runner, namespace=settings.key_prefix)
    readers = feed_readers(settings, runner, facts, closing)
    groups = [*(reader.group for reader in readers), METRICS_GROUP]
    metrics = MetricsService(runner, settings, facts=facts, has_trace=traced_jobs(settings), groups=groups)
    _log.info("reading the feed", groups=groups)
    try:
        await _until_stopped(stop, [metrics.run(stop), *(reader.run(stop) for reader in readers)])
    finally:
        await closing.aclose()
        await runner.close()
        await client.aclose()
    _log.info("stopped")


async def _until_stopped(stop: asyncio.Event, services: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Runs services, which end after `stop` is set; those that wait for a Redis that is away are ended."""
    running = asyncio.gather(*services)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait((running,), timeout=_STOP_TIMEOUT_S if stop.is_set() else None)
        if running.done():
            running.result()
        else:
            _log.warning("stops without Redis: other telemetry processes take over in seconds")
            while not running.done():  # one that is leaving already is told twice
                running.cancel()
                await asyncio.wait((running,), timeout=0.1)
            with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                running.result()
    finally:
        stopped.cancel()


def feed_readers(
    settings: TelemetrySettings, runner: PipeliningRunner, facts: FactsReader, closing: AsyncExitStack
) -> Sequence[FeedReader]:
    """Who reads the feed in this process: one reader for each purpose. `closing` closes what they use."""
    readers = []
    if (endpoint := settings.otlp_endpoint("traces")) is not None:
        exporter = OtlpHttpExporter(endpoint)
        closing.push_async_callback(exporter.close)
        readers.append(FeedReader(runner, group=TRACES, handle=TraceExporter(runner, facts, settings, exporter)))
    return readers


def traced_jobs(settings: TelemetrySettings) -> HasTrace:
    """Which jobs' traces somebody can look at."""
    return (lambda _: False) if settings.otlp_endpoint("traces") is None else settings.sampling().keeps


def main() -> None:
    """Reads the environment and runs."""
    settings = load_settings(TelemetrySettings)
    configure_logging(
        settings.log_level, settings.log_format, process_role="telemetry", hidden_fields=settings.redact_fields
    )
    with connection_errors(resolve_redis_url(settings)):
        forget_garbage()
        gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
        run_on_a_loop(run(settings))
