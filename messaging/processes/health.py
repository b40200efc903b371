"""Whether this process is well, over HTTP, for whatever restarts or replaces it, such as a kubelet or a compose engine.

`/live` is answered by the event loop that does the work, so a loop that hangs does not answer; it says nothing about
Redis, since restarting every process does not bring Redis back. `/ready` also wants a beat within the heartbeat
time-out: the worker is among the living, and gets work. Nothing else is told, and anybody may ask.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

from messaging.errors import InvalidSettings

__all__ = ["health_server"]

_ASK_TIMEOUT_S: Final = 5.0


@asynccontextmanager
async def health_server(port: int | None, unready: Callable[[], str | None]) -> AsyncIterator[None]:
    """Answers on a port of all interfaces, if there is to be one.

    Args:
        port: None answers nowhere.
        unready: Why this process cannot do its work just now, or None if it can.

    Raises:
        InvalidSettings: Somebody else has the port.
    """
    if port is None:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_ASK_TIMEOUT_S):
                request = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
                status, words = _answer(request[1].decode(errors="replace"), unready)
                writer.write(_response(status, words))
                await writer.drain()
        except (OSError, EOFError, IndexError, asyncio.LimitOverrunError):  # also a time-out; whoever asks wrongly
            pass
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answer, port=port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InvalidSettings(
            f"TRUNKLINE_HEALTH_PORT: cannot listen on {port}: {reason}; every process needs a port of its own"
        ) from None
    try:
        yield
    finally:
        server.close()


def _answer(path: str, unready: Callable[[], str | None]) -> tuple[HTTPStatus, str]:
    if path == "/live":
        return HTTPStatus.OK, "the event loop turns"
    if path == "/ready":
        reason = unready()
        return (HTTPStatus.OK, "among the living") if reason is None else (HTTPStatus.SERVICE_UNAVAILABLE, reason)
    return HTTPStatus.NOT_FOUND, "ask for /live or /ready"


def _response(status: HTTPStatus, words: str) -> bytes:
    body = f"{words}\n".encode()
    head = f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
