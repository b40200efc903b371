"""The HTTP server: `/v1/chat/completions` and `/v1/models` as the API has them, over keep-alive connections.

One thread per connection, from the standard library. The clock is read here and nowhere else in the package. This
module must not decide what is answered.
"""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from trunkline.offline_model.completion import (
    MODEL_NAME,
    body_of,
    chunks_of,
    completion_of,
    error_body,
    model_body,
)
from trunkline.offline_model.decide import decide
from trunkline.offline_model.json_values import Json
from trunkline.offline_model.request import BadRequest, parse_request

Clock = Callable[[], datetime]

#: A larger body is refused with 413.
LARGEST_BODY: Final = 32 * 1024 * 1024
#: A connection on which nothing comes for so long is closed.
_IDLE_SECONDS: Final = 300
_COMPLETIONS: Final = "/v1/chat/completions"
_MODELS: Final = "/v1/models"

_log = logging.getLogger(__name__)


def local_now() -> datetime:
    """The present moment with the machine's UTC offset."""
    return datetime.now().astimezone()


class OfflineModelServer:
    """The server in a thread of this process; a context manager.

    Example:
        with OfflineModelServer() as server:
            client = OpenAI(base_url=server.base_url, api_key="none")
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: timedelta = timedelta(0),
        clock: Clock = local_now,
    ) -> None:
        """Binds the socket; `start` or entering the context begins to serve.

        Args:
            host: Where to listen.
            port: The port; 0 for any that is free.
            latency: How long every completion is held back, to be like a model that thinks.
            clock: What "tomorrow" is relative to. A value with a UTC offset gives dates with that offset.

        Raises:
            OSError: The address cannot be bound.
        """
        self._server = _Server((host, port), latency=latency, clock=clock)
        self._thread = threading.Thread(target=self._server.serve_forever, name="offline-model", daemon=True)

    @property
    def base_url(self) -> str:
        """What to give a client as its base URL, `/v1` included."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/v1"

    def start(self) -> None:
        """Begins to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stops serving and closes every connection; does nothing if it never started."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.close_connections()

    def __enter__(self) -> Self:
        """Begins to serve."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops serving."""
        self.stop()


class _Server(ThreadingHTTPServer):
    """Remembers its connections, so that stopping does not wait for clients that keep theirs open."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], *, latency: timedelta, clock: Clock) -> None:
        self.latency = latency
        self.clock = clock
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is not worth a traceback on the console."""
        _log.debug("connection from %s broke off", client_address, exc_info=True)

    def close_connections(self) -> None:
        """Ends every open connection; their threads then end by themselves."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # its other end was faster
                continue


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "trunkline-offline-model"
    sys_version = ""
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one packet
    server: _Server

    def do_GET(self) -> None:
        """Models."""
        path = self.path.split("?")[0].rstrip("/")
        created = int(self.server.clock().timestamp())
        if path == _MODELS:
            self._send(HTTPStatus.OK, {"object": "list", "data": [model_body(created)]})
        elif path == f"{_MODELS}/{MODEL_NAME}":
            self._send(HTTPStatus.OK, model_body(created))
        elif path.startswith(f"{_MODELS}/"):
            message = f"The model '{path.removeprefix(f'{_MODELS}/')}' does not exist."
            self._refuse(HTTPStatus.NOT_FOUND, message, param="model", code="model_not_found")
        elif path == _COMPLETIONS:
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, f"Only POST is allowed on {_COMPLETIONS}.")
        else:
            self._refuse_path()

    def do_POST(self) -> None:
        """Completions."""
        body = self._body()
        if body is None:
            return
        if self.path.split("?")[0].rstrip("/") != _COMPLETIONS:
            self._refuse_path()
            return
        try:
            self._complete(body)
        except BadRequest as error:
            self._refuse(HTTPStatus.BAD_REQUEST, error.message, param=error.param, code=error.code)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception:  # noqa: BLE001 -- the boundary of the process: a fault of ours is a 500, not a dropped line
            _log.exception("a request could not be answered")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "The server had an error.", kind="server_error")

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library finds wrong with a request, in the API's form."""
        self.close_connection = True
        self._refuse(HTTPStatus(code), message or HTTPStatus(code).phrase)

    def _complete(self, body: bytes) -> None:
        try:
            decoded: Json = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise BadRequest(f"The body of the request is not valid JSON: {error}.") from error
        request = parse_request(decoded)
        now = self.server.clock()
        completion = completion_of(decide(request, now=now), request, created=int(now.timestamp()))
        if self.server.latency:
            time.sleep(self.server.latency.total_seconds())
        if request.stream:
            usage = request.stream_options is not None and request.stream_options.include_usage
            self._stream(chunks_of(completion, include_usage=usage))
        else:
            self._send(HTTPStatus.OK, body_of(completion))

    def _body(self) -> bytes | None:
        """The body of the request; None if it was refused."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            self.close_connection = True
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "A Content-Length header is required.")
            return None
        if int(length) > LARGEST_BODY:
            self.close_connection = True
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {LARGEST_BODY} bytes.")
            return None
        return self.rfile.read(int(length))

    def _send(self, status: HTTPStatus, body: dict[str, Json]) -> None:
        encoded = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(encoded)
        self.wfile.flush()

    def _stream(self, chunks: Iterable[dict[str, Json]]) -> None:
        """Server-sent events in chunked encoding."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self._event(json.dumps(chunk, ensure_ascii=False))
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _event(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        self.wfile.flush()

    def _refuse_path(self) -> None:
        message = f"Unknown request URL: {self.command} {self.path.split('?')[0]}."
        self._refuse(HTTPStatus.NOT_FOUND, message, code="unknown_url")

    def _refuse(
        self,
        status: HTTPStatus,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        self._send(status, error_body(message, kind=kind, param=param, code=code))
