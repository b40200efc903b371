"""Whether the endpoint that traces and metrics are exported to takes them.

The variables are those of the OpenTelemetry specification:
https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

import socket
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from messaging.redaction import redact

__all__ = ["ExporterSettings", "problem_with_exporter"]

_TIMEOUT_S: Final = 10.0
_GRPC_PORT: Final = 4317


class ExporterSettings(BaseSettings):
    """Where spans go."""

    model_config = SettingsConfigDict(env_prefix="OTEL_EXPORTER_OTLP_", env_ignore_empty=True, frozen=True)

    endpoint: str | None = None
    traces_endpoint: str | None = None
    protocol: Literal["http/protobuf", "http/json", "grpc"] = "http/protobuf"
    headers: str = Field("", repr=False)

    @property
    def address(self) -> str | None:
        """Where spans are sent; None if they are not."""
        if self.traces_endpoint or self.endpoint is None or self.protocol == "grpc":
            return self.traces_endpoint or self.endpoint
        return f"{self.endpoint.rstrip('/')}/v1/traces"

    @property
    def header_fields(self) -> dict[str, str]:
        """The headers, which are written like those of W3C baggage."""
        pairs = (pair.partition("=") for pair in self.headers.split(",") if "=" in pair)
        return {name.strip(): unquote(value.strip()) for name, _, value in pairs}


def problem_with_exporter(settings: ExporterSettings) -> str | None:
    """Sends an export of no spans to the endpoint; says what is wrong, if something is.

    An endpoint for gRPC is only connected to.
    """
    assert settings.address is not None
    if settings.protocol == "grpc":
        return _problem_with_port(settings.address)
    return _problem_with_http(settings.address, settings.header_fields)


def _problem_with_port(address: str) -> str | None:
    parts = urlsplit(address if "//" in address else f"//{address}")
    if parts.hostname is None:
        return f"OTEL_EXPORTER_OTLP_ENDPOINT: {redact(address)} has no host; use one like http://collector:4317"
    try:
        socket.create_connection((parts.hostname, parts.port or _GRPC_PORT), timeout=_TIMEOUT_S).close()
    except OSError as error:
        return f"cannot reach {redact(address)}: {error.strerror or error}; start the collector, or unset the variable"
    return None


def _problem_with_http(address: str, headers: dict[str, str]) -> str | None:
    import httpx2

    try:
        # No bytes are an export request without spans.
        answer = httpx2.post(
            address, content=b"", headers={"content-type": "application/x-protobuf", **headers}, timeout=_TIMEOUT_S
        )
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return f"cannot reach {redact(address)}: {redact(str(error))}; start the collector, or unset the variable"
    if answer.status_code in (401, 403):
        return f"{redact(address)} refuses us with HTTP {answer.status_code}; see OTEL_EXPORTER_OTLP_HEADERS"
    if not answer.is_success:
        return f"{redact(address)} answers HTTP {answer.status_code}; is that where a collector takes OTLP over HTTP?"
    return None
