"""Fetching one page: redirects by hand, each checked like the first address; then its body, and its text.

This module must not know tools or settings.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import httpx2
from pydantic import BaseModel, ConfigDict

from workers.errors import ToolFailed
from workers.pools.web.addresses import AddressPolicy
from workers.pools.web.body import ACCEPTED_ENCODING, body_of, is_readable, text_of
from workers.pools.web.page import Page, read_page
from workers.pools.web.transport import CheckedTransport, Resolver, resolve_by_system

__all__ = ["FetchedPage", "Fetcher"]

_HEADERS: Final = {
    "User-Agent": "Trunkline/1 (fetch_url)",
    "Accept": "text/html, application/xhtml+xml, text/*;q=0.9, application/json;q=0.9, application/xml;q=0.8",
    "Accept-Encoding": ACCEPTED_ENCODING,
}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 5
_LONGEST_URL: Final = 2_048
_CONNECT_S: Final = 5.0


class FetchedPage(BaseModel):
    """A page as text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """Where it was found in the end, after redirects."""
    status: int
    """The HTTP status; 200 is a page that is there."""
    content_type: str
    title: str | None
    text: str
    truncated: bool
    """Whether there is more than `text` shows."""


@dataclass(frozen=True, kw_only=True)
class Fetcher:
    """How pages are fetched. Whatever is here is the operator's, out of reach of a tool's arguments."""

    policy: AddressPolicy = field(default_factory=AddressPolicy)
    resolve: Resolver = resolve_by_system
    tls: ssl.SSLContext | None = None
    """What certificates are checked by; None: the system's authorities."""
    most_bytes: int = 2 * 1024 * 1024
    """The most of a body that is read, packed or unpacked."""

    async def fetch(self, url: str, *, most_characters: int, time_limit: timedelta) -> FetchedPage:
        """Fetch a page and read its text.

        Args:
            url: An absolute http or https URL.
            most_characters: The text is cut there.
            time_limit: For everything: names, redirects, the body, its text.

        Raises:
            ToolFailed: with the reason, for the model.
        """
        seconds = time_limit.total_seconds()
        ends_at = time.monotonic() + seconds
        try:
            async with asyncio.timeout(seconds), self._answer(_checked_url(url), seconds) as response:
                return await self._page(response, most_characters=most_characters, ends_at=ends_at)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise ToolFailed(f"The page did not come within {seconds:.1f} s.") from error
        except httpx2.HTTPError as error:
            raise ToolFailed(f"The page could not be fetched: {type(error).__name__}: {str(error)[:200]}") from error

    @asynccontextmanager
    async def _answer(self, url: httpx2.URL, seconds: float) -> AsyncGenerator[httpx2.Response]:
        """The answer at the end of all redirects, its body not yet read."""
        transport = CheckedTransport(self.policy, resolve=self.resolve, tls=self.tls)
        timeout = httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_S))
        async with httpx2.AsyncClient(transport=transport, trust_env=False, timeout=timeout) as client:
            for _ in range(_MOST_REDIRECTS + 1):
                async with client.stream("GET", url, headers=_HEADERS, follow_redirects=False) as response:
                    location = response.headers.get("location")
                    if response.status_code not in _REDIRECTS or location is None:
                        yield response
                        return
                    url = _checked_url(location, base=url)
        raise ToolFailed(f"The page redirects more than {_MOST_REDIRECTS} times.")

    async def _page(self, response: httpx2.Response, *, most_characters: int, ends_at: float) -> FetchedPage:
        content_type = response.headers.get("content-type", "")
        if not is_readable(content_type):
            raise ToolFailed(f"The page is {content_type[:100]!r}, not text.")
        body, complete = await body_of(
            response.aiter_raw(),
            content_encoding=response.headers.get("content-encoding", ""),
            most_bytes=self.most_bytes,
        )
        text = text_of(body, charset=response.charset_encoding)
        page = Page(None, text[:most_characters], len(text) <= most_characters)
        if "html" in content_type or not content_type:
            # Beside the event loop: a large page takes a second.
            page = await asyncio.to_thread(
                read_page, text, most_characters=most_characters, out_of_time=lambda: time.monotonic() > ends_at
            )
        return FetchedPage(
            url=str(response.url),
            status=response.status_code,
            content_type=content_type,
            title=page.title,
            text=page.text,
            truncated=not (complete and page.complete),
        )


def _checked_url(text: str, *, base: httpx2.URL | None = None) -> httpx2.URL:
    """An absolute URL that may be fetched as far as its text tells; the host's addresses are checked later."""
    try:
        url = httpx2.URL(text[: _LONGEST_URL + 1])
        url = (url if base is None else base.join(url)).copy_with(fragment=None)
    except (httpx2.InvalidURL, ValueError) as error:
        raise ToolFailed(f"{text[:200]!r} is not a URL: {error}") from error
    if len(text) > _LONGEST_URL:
        raise ToolFailed(f"The URL has more than {_LONGEST_URL} characters.")
    if url.scheme not in ("http", "https"):
        raise ToolFailed(f"Only http:// and https:// URLs may be fetched, not {str(url)[:200]!r}.")
    if url.userinfo:
        raise ToolFailed("A URL with a user name or password in it may not be fetched.")
    if not url.host:
        raise ToolFailed(f"{text[:200]!r} names no host.")
    return url
