"""Everything about metrics that a telemetry process runs: it keeps them, and exports them if it is the elected one.

`OTEL_EXPORTER_PROMETHEUS_HOST` and `_PORT` say where Prometheus may read them, `OTEL_EXPORTER_OTLP_ENDPOINT` where they
are sent.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version

import structlog

from messaging.command_runner import AsyncCommandRunner
from telemetry.facts_reader import FactsReader
from telemetry.feed import FeedReader, reader_name
from telemetry.metrics.collecting import Collected, collect
from telemetry.metrics.keeper import METRICS_GROUP, MetricsKeeper
from telemetry.metrics.leading import Leading
from telemetry.metrics.measuring import HasTrace, Measuring
from telemetry.metrics.otlp_metrics import encode_metrics
from telemetry.metrics.prices import Prices, read_prices
from telemetry.metrics.prometheus import MetricsServer
from telemetry.otlp_http import OtlpHttpExporter
from telemetry.settings import TelemetrySettings
from telemetry.traces.otlp_encoding import resource

__all__ = ["MetricsService"]

_COLLECT_TIMEOUT_S = 10.0
_LAST_EXPORT_S = 3.0

_log = structlog.get_logger(__name__)


class MetricsService:
    """The metrics of a telemetry process.

    Args:
        runner: Carries commands.
        settings: Of the process.
        facts: Where the facts of jobs come from.
        has_trace: Whether a job's trace is exported for sure, so that its values may be exemplars.
        groups: All groups of readers of the feed, whose lag is told.

    Raises:
        InvalidPrices: The price file cannot be read.
    """

    def __init__(
        self,
        runner: AsyncCommandRunner,
        settings: TelemetrySettings,
        *,
        facts: FactsReader,
        has_trace: HasTrace,
        groups: Sequence[str] = (METRICS_GROUP,),
    ) -> None:
        self._runner = runner
        self._settings = settings
        self._groups = groups
        name = reader_name()
        prices = Prices() if settings.prices_file is None else read_prices(settings.prices_file)
        keeper = MetricsKeeper(
            runner,
            facts=facts,
            measuring=Measuring(prices=prices, has_trace=has_trace),
            reader=name,
        )
        self._reader = FeedReader(runner, group=METRICS_GROUP, handle=keeper.handle, name=name)
        self._leading = Leading(runner, name=name)

    async def run(self, stop: asyncio.Event) -> None:
        """Keeps and exports until `stop` is set."""
        with ExitStack() as stack:
            if self._settings.serves_prometheus:
                self._serve(stack)
            done = asyncio.Event()
            leading = asyncio.create_task(self._leading.run(done))
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._reader.run(stop))
                    if (endpoint := self._settings.otlp_endpoint("metrics")) is not None:
                        tasks.create_task(self._push(OtlpHttpExporter(endpoint), stop))
            finally:
                done.set()  # only now may another one lead: the last export was still this one's
                await leading

    async def collect(self) -> Collected | None:
        """All metrics; None if this process is not the elected one."""
        if not self._leading.leads:
            return None
        return await collect(self._runner, namespace=self._settings.key_prefix, groups=self._groups)

    async def _push(self, exporter: OtlpHttpExporter, stop: asyncio.Event) -> None:
        """Sends the metrics now and then, and a last time at the end. The next time has all that failed before."""
        interval_s = self._settings.metric_export_interval_ms / 1000
        about, of_ours = resource(self._settings.resource()), version("trunkline")
        try:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), interval_s)
                # A collector that is away is tried again, but not for longer than there is something newer to say.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_EXPORT_S if stop.is_set() else interval_s):
                        collected = await self.collect()
                        if collected is not None:
                            await exporter.send(encode_metrics(collected, of=about, version=of_ours))
        finally:
            await exporter.close()

    def _serve(self, stack: ExitStack) -> None:
        host, port = self._settings.prometheus_host, self._settings.prometheus_port
        loop = asyncio.get_running_loop()

        def collect_from_thread() -> Collected | None:
            return asyncio.run_coroutine_threadsafe(self.collect(), loop).result(_COLLECT_TIMEOUT_S)

        try:
            server = stack.enter_context(MetricsServer(collect_from_thread, host=host, port=port))
        except OSError as error:
            # Most likely another telemetry process of this machine; who keeps the metrics is worth more than who shows.
            hint = "set OTEL_EXPORTER_PROMETHEUS_PORT to another port for Prometheus to read this process too"
            _log.warning("no Prometheus endpoint", host=host, port=port, error=str(error), hint=hint)
        else:
            _log.info("Prometheus may read the metrics", url=f"http://{host}:{server.port}/metrics")
