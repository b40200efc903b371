"""The tool of the web pool, and the settings behind it.

This module must not know HTTP: that is `fetch` and what it uses.
"""

from datetime import timedelta
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from workers.context import ToolContext
from workers.pools.web.addresses import AddressPolicy
from workers.pools.web.fetch import FetchedPage, Fetcher
from workers.tool import tool

__all__ = ["WebSettings", "fetch_url"]

_TIMEOUT: Final = timedelta(seconds=20)
#: Kept back, so that a page that is too slow is this tool's own answer and not a time limit's.
_MARGIN: Final = timedelta(milliseconds=500)


class WebSettings(BaseSettings):
    """What the operator decides, read once at the first call."""

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_WEB_", frozen=True)

    allowed_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Networks that may be reached though they are not public, separated by commas; on every port. Default none."""
    most_bytes: Annotated[int, Ge(1_024), Le(64 * 1024 * 1024)] = 2 * 1024 * 1024
    """The most of a page that is read, in bytes. Default 2 MiB."""

    @field_validator("allowed_networks", mode="before")
    @classmethod
    def _separate(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


@tool(pool="web", version="1.0.0", effect="read", timeout=_TIMEOUT, permissions={"web:fetch"})
async def fetch_url(
    url: Annotated[str, "Absolute http:// or https:// URL of a public web page", MinLen(1), MaxLen(2_048)],
    max_characters: Annotated[int, "Most characters of text to return", Ge(100), Le(50_000)] = 8_000,
    *,
    context: ToolContext,
) -> FetchedPage:
    """Fetch a public web page and return its title and readable text, without scripts and markup."""
    time_limit = max(timedelta(0), min(context.remaining(), _TIMEOUT) - _MARGIN)
    return await _fetcher().fetch(url, most_characters=max_characters, time_limit=time_limit)


@cache
def _fetcher() -> Fetcher:
    settings = WebSettings()
    return Fetcher(policy=AddressPolicy(opened=settings.allowed_networks), most_bytes=settings.most_bytes)
