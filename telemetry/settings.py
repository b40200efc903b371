"""The settings of a telemetry process: the standard variables of OpenTelemetry, and a few of our own."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from messaging.settings import DeploymentSettings, Duration
from telemetry.otlp_http import OtlpEndpoint
from telemetry.traces.sampling import Sampling
from telemetry.traces.span import Attribute

Signal = Literal["traces", "metrics"]

_LowerCase = BeforeValidator(lambda value: value.strip().lower() if isinstance(value, str) else value)
_Exporter = Annotated[Literal["otlp", "none"], _LowerCase]
_Protocol = Annotated[Literal["http/protobuf"], _LowerCase]
_CONTENT_ON: Final = ("true", "span_only", "span_and_event")


class TelemetrySettings(DeploymentSettings):
    """Read once at the entry of a telemetry process and passed down.

    Nothing is sent anywhere unless an endpoint or an exporter is named.
    """

    trace_slow_after: Duration = timedelta(seconds=10)
    """A job that took longer is always kept, whatever share of the others is."""

    jaeger_url: str | None = None
    """Where people reach Jaeger, for links to traces."""
    prices_file: Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())] | None = None
    """A TOML file with what tokens cost; see `telemetry.metrics.prices`."""
    prometheus_host: str = Field("127.0.0.1", validation_alias="OTEL_EXPORTER_PROMETHEUS_HOST")
    """The address on which Prometheus may read the metrics; 0.0.0.0 for all."""
    prometheus_port: int = Field(9464, ge=0, le=65535, validation_alias="OTEL_EXPORTER_PROMETHEUS_PORT")

    sdk_disabled: bool = Field(False, validation_alias="OTEL_SDK_DISABLED")
    service_name: str = Field("trunkline", validation_alias="OTEL_SERVICE_NAME")
    resource_attributes: str = Field("", validation_alias="OTEL_RESOURCE_ATTRIBUTES")
    traces_exporter: _Exporter | None = Field(None, validation_alias="OTEL_TRACES_EXPORTER")
    metrics_exporter: Annotated[str, _LowerCase] | None = Field(
        None,
        pattern=r"^(otlp|prometheus|none)(\s*,\s*(otlp|prometheus))*$",
        validation_alias="OTEL_METRICS_EXPORTER",
        description="otlp, prometheus, both with a comma, or none",
    )
    metric_export_interval_ms: int = Field(60_000, ge=1, validation_alias="OTEL_METRIC_EXPORT_INTERVAL")
    endpoint: str | None = Field(None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    traces_endpoint: str | None = Field(None, validation_alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    metrics_endpoint: str | None = Field(None, validation_alias="OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    protocol: _Protocol = Field("http/protobuf", validation_alias="OTEL_EXPORTER_OTLP_PROTOCOL")
    traces_protocol: _Protocol = Field("http/protobuf", validation_alias="OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
    metrics_protocol: _Protocol = Field("http/protobuf", validation_alias="OTEL_EXPORTER_OTLP_METRICS_PROTOCOL")
    headers: SecretStr = Field(SecretStr(""), validation_alias="OTEL_EXPORTER_OTLP_HEADERS")
    traces_headers: SecretStr = Field(SecretStr(""), validation_alias="OTEL_EXPORTER_OTLP_TRACES_HEADERS")
    metrics_headers: SecretStr = Field(SecretStr(""), validation_alias="OTEL_EXPORTER_OTLP_METRICS_HEADERS")
    timeout_ms: int = Field(10_000, ge=1, validation_alias="OTEL_EXPORTER_OTLP_TIMEOUT")
    compression: Annotated[Literal["none", "gzip"], _LowerCase] = Field(
        "none", validation_alias="OTEL_EXPORTER_OTLP_COMPRESSION"
    )
    certificate: Path | None = Field(None, validation_alias="OTEL_EXPORTER_OTLP_CERTIFICATE")
    client_certificate: Path | None = Field(None, validation_alias="OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")
    client_key: Path | None = Field(None, validation_alias="OTEL_EXPORTER_OTLP_CLIENT_KEY")
    batch_size: int = Field(2048, ge=1, validation_alias="OTEL_BSP_MAX_EXPORT_BATCH_SIZE")
    sampler: Annotated[
        Literal[
            "always_on",
            "always_off",
            "traceidratio",
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
        ],
        _LowerCase,
    ] = Field("parentbased_always_on", validation_alias="OTEL_TRACES_SAMPLER")
    sampler_share: float = Field(1.0, ge=0, le=1, validation_alias="OTEL_TRACES_SAMPLER_ARG")
    longest_attribute: int | None = Field(None, ge=0, validation_alias="OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
    longest_span_attribute: int | None = Field(None, ge=0, validation_alias="OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT")
    capture_content: Annotated[str, _LowerCase] = Field(
        "no_content", validation_alias="OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    )

    @property
    def captures_content(self) -> bool:
        """Whether spans carry what was said."""
        return self.capture_content in _CONTENT_ON

    @property
    def longest_value(self) -> int | None:
        """Where text in attributes of spans is cut."""
        return self.longest_attribute if self.longest_span_attribute is None else self.longest_span_attribute

    def sampling(self) -> Sampling:
        """Which traces are kept: of the rest, beside what is remarkable, the share that the standard sampler says."""
        share = {"always_on": 1.0, "always_off": 0.0, "traceidratio": self.sampler_share}
        return Sampling(
            share=share[self.sampler.removeprefix("parentbased_")],
            slow_after=self.trace_slow_after,
            keep_remarkable="always_off" not in self.sampler,
            follow_upstream=self.sampler.startswith("parentbased_"),
        )

    @property
    def serves_prometheus(self) -> bool:
        """Whether Prometheus may read the metrics; it may unless others are named."""
        return not self.sdk_disabled and (self.metrics_exporter is None or "prometheus" in self.metrics_exporter)

    def otlp_endpoint(self, signal: Signal) -> OtlpEndpoint | None:
        """Where a signal is exported to; None if nobody asked for it."""
        of_signal = self.traces_endpoint if signal == "traces" else self.metrics_endpoint
        exporter = self.traces_exporter if signal == "traces" else self.metrics_exporter
        named = of_signal or self.endpoint
        if self.sdk_disabled or (named is None if exporter is None else "otlp" not in exporter):
            return None
        base = (self.endpoint or "http://localhost:4318").rstrip("/")
        headers = self.traces_headers if signal == "traces" else self.metrics_headers
        return OtlpEndpoint(
            url=of_signal or f"{base}/v1/{signal}",
            headers=dict(_pairs((headers if headers.get_secret_value() else self.headers).get_secret_value())),
            timeout_s=self.timeout_ms / 1000,
            compress=self.compression == "gzip",
            certificate=self.certificate,
            client_certificate=self.client_certificate,
            client_key=self.client_key,
        )

    def jaeger_link(self, trace_id: str) -> str | None:
        """Where Jaeger shows a trace; None if nobody said where Jaeger is."""
        return None if self.jaeger_url is None else f"{self.jaeger_url.rstrip('/')}/trace/{trace_id}"

    def resource(self) -> dict[str, Attribute]:
        """Who says it all. The same for every process: all times are by one clock, that of the deployment's Redis."""
        attributes: dict[str, Attribute] = {"service.name": self.service_name, "host.id": self.namespace}
        named = dict(_pairs(self.resource_attributes))
        if "service_name" in self.model_fields_set:
            named.pop("service.name", None)
        return attributes | named


def _pairs(text: str) -> list[tuple[str, str]]:
    """`a=b,c=d` with percent-encoding, as in W3C Baggage."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return [(unquote(name.strip()), unquote(value.strip())) for name, _, value in pairs]
