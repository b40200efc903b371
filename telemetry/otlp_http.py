"""Sending to a collector over OTLP/HTTP: with back-off while it is away, and counting what it will never take."""

import asyncio
import gzip
import random
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import httpx2
import structlog

from messaging.redaction import redact

_log = structlog.get_logger(__name__)

#: What the protocol says is worth trying again.
_WORTH_TRYING_AGAIN: Final = frozenset({429, 502, 503, 504})
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_MOST_OF_AN_ANSWER: Final = 300


class Encoded(Protocol):
    """A request of the protocol."""

    def SerializeToString(self) -> bytes:  # protobuf's name
        """Its bytes."""
        ...


@dataclass(frozen=True, slots=True)
class OtlpEndpoint:
    """Where a signal is sent, and how."""

    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 10.0
    compress: bool = False
    certificate: Path | None = None
    """Of the authority that vouches for the collector."""
    client_certificate: Path | None = None
    client_key: Path | None = None


class OtlpHttpExporter:
    """Sends requests of one signal. Close it."""

    def __init__(self, endpoint: OtlpEndpoint) -> None:
        self._endpoint = endpoint
        self._client = httpx2.AsyncClient(timeout=endpoint.timeout_s, verify=_tls(endpoint))
        self._away = False

    async def send(self, request: Encoded) -> bool:
        """Sends a request, again and again while the collector is away; False if it refused it for good."""
        body = request.SerializeToString()
        headers = {"Content-Type": "application/x-protobuf", **self._endpoint.headers}
        if self._endpoint.compress:
            body, headers = gzip.compress(body, compresslevel=1), {**headers, "Content-Encoding": "gzip"}
        pause_s = _FIRST_PAUSE_S
        while True:
            retry_after_s = 0.0
            try:
                answer = await self._client.post(self._endpoint.url, content=body, headers=headers)
            except (httpx2.TransportError, httpx2.InvalidURL) as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if answer.status_code < 300:
                    self._is_back()
                    return True
                problem = f"HTTP {answer.status_code}: {answer.text[:_MOST_OF_AN_ANSWER]}"
                if answer.status_code not in _WORTH_TRYING_AGAIN:
                    _log.error("the collector refused a batch; it is dropped", url=self._url, error=redact(problem))
                    return False
                retry_after_s = _retry_after_s(answer)
            self._is_away(problem)
            # Not for secrets: jitter.
            await asyncio.sleep(max(pause_s * (0.5 + random.random() / 2), retry_after_s))  # noqa: S311
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    @property
    def _url(self) -> str:
        return redact(self._endpoint.url)

    def _is_away(self, problem: str) -> None:
        if not self._away:
            _log.warning(
                "the collector does not take what is sent; it is tried again until it does",
                url=self._url,
                error=redact(problem),
            )
        self._away = True

    def _is_back(self) -> None:
        if self._away:
            _log.info("the collector is back", url=self._url)
        self._away = False


def _tls(endpoint: OtlpEndpoint) -> ssl.SSLContext | bool:
    if not endpoint.url.startswith("https:"):
        return True
    context = ssl.create_default_context(cafile=str(endpoint.certificate) if endpoint.certificate else None)
    if endpoint.client_certificate is not None:
        context.load_cert_chain(endpoint.client_certificate, endpoint.client_key)
    return context


def _retry_after_s(answer: httpx2.Response) -> float:
    try:
        return min(float(answer.headers.get("retry-after", "0")), _LONGEST_PAUSE_S)
    except ValueError:  # a date
        return _LONGEST_PAUSE_S
