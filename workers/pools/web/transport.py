"""The only way out of the web pool: connections to addresses that were checked, and to nothing else.

A name is resolved once. If any of its addresses is not allowed, the name is refused; otherwise the connection goes to
one of these very addresses, so that a name which answers differently the second time gains nothing. The `Host` header,
TLS's SNI and the check of the certificate keep the name. This module must not know redirects or bodies.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from typing import Final

import httpx2

from workers.errors import ToolFailed
from workers.pools.web.addresses import Address, AddressPolicy

__all__ = ["CheckedTransport", "Resolver", "resolve_by_system"]

Resolver = Callable[[str, int], Awaitable[Sequence[Address]]]
"""The addresses of a host. Raises `OSError` if there is none."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MOST_ADDRESSES_TRIED: Final = 3


async def resolve_by_system(host: str, port: int) -> Sequence[Address]:
    """What the system's resolver says, which also takes `127.1` and `2130706433` for addresses."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))


class CheckedTransport(httpx2.AsyncBaseTransport):
    """Sends requests to addresses that `policy` allows; proxies of the environment are not used."""

    def __init__(
        self, policy: AddressPolicy, *, resolve: Resolver = resolve_by_system, tls: ssl.SSLContext | None = None
    ) -> None:
        """Take what is allowed, who knows addresses, and what certificates are checked by: the system's by default."""
        self._policy = policy
        self._resolve = resolve
        # No connection is kept: one that was opened for a name must not serve another name at the same address.
        self._inner = httpx2.AsyncHTTPTransport(
            verify=tls or _system_tls(), trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request.

        Raises:
            ToolFailed: the host is unknown, or not allowed.
            httpx2.TransportError: it could not be reached, or said something that is not HTTP.
        """
        *others, last = await self._checked_addresses(request.url)
        for address in others:
            with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
                return await self._inner.handle_async_request(_aimed_at(address, request))
        return await self._inner.handle_async_request(_aimed_at(last, request))

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()

    async def _checked_addresses(self, url: httpx2.URL) -> Sequence[Address]:
        port = _DEFAULT_PORTS[url.scheme] if url.port is None else url.port
        try:
            addresses = await self._resolve(url.raw_host.decode("ascii"), port)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise ToolFailed(f"The host {url.host!r} is not known.")
        if not all(self._policy.allows(address, port) for address in addresses):
            raise ToolFailed(f"{url.host!r}, port {port}, is not on the public web, and nothing else may be fetched.")
        return addresses[:_MOST_ADDRESSES_TRIED]


def _aimed_at(address: Address, request: httpx2.Request) -> httpx2.Request:
    """The same request (its `Host` header is set already) to a literal address, with the name for TLS."""
    name = request.url.raw_host.decode("ascii")
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions | {"sni_hostname": name},
    )


@cache
def _system_tls() -> ssl.SSLContext:
    """Built once in a process: it reads all certificates of the system, which takes some 40 ms."""
    return httpx2.create_ssl_context(trust_env=False)
