"""The metrics as Prometheus reads them, on one HTTP endpoint.

`GET /metrics` answers in the text format, or in OpenMetrics with exemplars to whoever asks for it, as Prometheus does.
Only the elected process has more to say than that it is not the one, so that a sum over all counts nothing twice.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

import structlog
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as PrometheusExemplar

from telemetry.metrics import instruments as of
from telemetry.metrics.collecting import Collected
from telemetry.metrics.fields import Exemplar, Series
from telemetry.metrics.histogram import Histogram
from telemetry.metrics.instruments import INSTRUMENTS, Instrument, prometheus_label, prometheus_name

__all__ = ["MetricsServer", "families"]

_BOUNDS: Final = {"s": range(-10, 15), "{token}": range(25)}
"""The exponents of the bounds of cumulative buckets: powers of two, where they are exact. 1 ms to 4.5 hours."""
_OTHER_BOUNDS: Final = range(11)

_log = structlog.get_logger(__name__)

_Bucket = tuple[str, float] | tuple[str, float, PrometheusExemplar]

#: What there is to say; None in a process that is not the elected one.
Collect = Callable[[], Collected | None]


class MetricsServer:
    """The endpoint, on a thread of its own. A context manager.

    Args:
        collect: Called for each scrape, on its thread.
        host: The address to listen on.
        port: The port; 0 takes a free one.

    Raises:
        OSError: The port is taken, or the address is none of this machine's.
    """

    def __init__(self, collect: Collect, *, host: str, port: int) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler(collect))
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def families(collected: Collected | None) -> Iterator[Metric]:
    """All metric families, in the order of the list of instruments."""
    yield GaugeMetricFamily(prometheus_name(of.LEADER), of.LEADER.description, value=float(collected is not None))
    if collected is None:
        return
    for instrument in INSTRUMENTS:
        series = collected.series.get(instrument)
        if series is not None:
            yield _family(instrument, series, collected)


def _family(instrument: Instrument, series: Series, collected: Collected) -> Metric:
    name = prometheus_name(instrument)
    labels = [prometheus_label(label) for label in instrument.labels]
    match instrument.kind:
        case "histogram":
            histograms = HistogramMetricFamily(name, instrument.description, labels=labels)
            for values, histogram in series.histograms.items():
                exemplars = collected.exemplars.get((instrument, values), {})
                histograms.add_metric(values, _buckets(instrument, histogram, exemplars), histogram.total)
            return histograms
        case "counter":
            counters = CounterMetricFamily(name, instrument.description, labels=labels)
            for values, number in series.numbers.items():
                counters.add_metric(values, number)
            return counters
        case "gauge":
            gauges = GaugeMetricFamily(name, instrument.description, labels=labels)
            for values, number in series.numbers.items():
                gauges.add_metric(values, number)
            return gauges


def _buckets(instrument: Instrument, histogram: Histogram, exemplars: Mapping[int, Exemplar]) -> list[_Bucket]:
    bounds = _BOUNDS.get(instrument.unit, _OTHER_BOUNDS)
    shown = {max(bound, bounds[0]): _shown(exemplar) for bound, exemplar in sorted(exemplars.items())}
    beyond = [shown[bound] for bound in shown if bound > bounds[-1]]
    buckets: list[_Bucket] = []
    for bound in bounds:
        bucket = (repr(2.0**bound), float(histogram.at_most(bound)))
        buckets.append((*bucket, shown[bound]) if bound in shown else bucket)
    last = ("+Inf", float(histogram.count))
    return [*buckets, (*last, beyond[-1]) if beyond else last]


def _shown(exemplar: Exemplar) -> PrometheusExemplar:
    labels = {"trace_id": exemplar.trace_id, "span_id": exemplar.span_id}
    return PrometheusExemplar(labels, exemplar.value, exemplar.at_us / 1e6)


class _Families(Collector):
    def __init__(self, collected: Collected | None) -> None:
        self._collected = collected

    def collect(self) -> Iterator[Metric]:
        return families(self._collected)


def _handler(collect: Collect) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self._answer(404, "text/plain; charset=utf-8", b"There is only /metrics.\n")
                return
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            try:
                body = encode(_Families(collect()))
            # A boundary: whatever is wrong, such as Redis being away, is this scrape's answer.
            except Exception:  # noqa: BLE001
                _log.exception("the metrics could not be collected")
                self._answer(503, "text/plain; charset=utf-8", b"The metrics cannot be collected; see the log.\n")
                return
            self._answer(200, content_type, body)

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A scrape is no news."""

    return Handler
