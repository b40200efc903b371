"""Everything about metrics that a telemetry process runs: it keeps them, and exports them if it is the elected one.

`OTEL_EXPORTER_PROMETHEUS_HOST` and `_PORT` say where Prometheus may read them.
"""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack

import structlog

from messaging.command_runner import AsyncCommandRunner
from telemetry.collecting import Collected, collect
from telemetry.feed import FeedReader, reader_name
from telemetry.leading import Leading
from telemetry.measuring import HasTrace, Measuring
from telemetry.metrics_keeper import METRICS_GROUP, MetricsKeeper
from telemetry.prices import Prices, read_prices
from telemetry.prometheus import MetricsServer
from telemetry.settings import TelemetrySettings

__all__ = ["MetricsService"]

_COLLECT_TIMEOUT_S = 10.0

_log = structlog.get_logger(__name__)


class MetricsService:
    """The metrics of a telemetry process.

    Args:
        runner: Carries commands.
        settings: Of the process.
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
            namespace=settings.key_prefix,
            measuring=Measuring(prices=prices, has_trace=has_trace),
            reader=name,
        )
        self._reader = FeedReader(runner, group=METRICS_GROUP, handle=keeper.handle, name=name)
        self._leading = Leading(runner, name=name)

    async def run(self, stop: asyncio.Event) -> None:
        """Keeps and exports until `stop` is set."""
        with ExitStack() as stack:
            self._serve(stack)
            done = asyncio.Event()
            leading = asyncio.create_task(self._leading.run(done))
            try:
                await self._reader.run(stop)
            finally:
                done.set()  # only now may another one lead
                await leading

    async def collect(self) -> Collected | None:
        """All metrics; None if this process is not the elected one."""
        if not self._leading.leads:
            return None
        return await collect(self._runner, namespace=self._settings.key_prefix, groups=self._groups)

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
