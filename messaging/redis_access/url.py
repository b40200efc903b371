"""Reading the URL of Redis: which kind of deployment, where to ask for it, and with which options.

Pure: nothing here opens a connection. The forms, besides those of redis-py (`redis://`, `rediss://`, `unix://`):

    redis+sentinel://[user:password@]host[:port][,host[:port]…]/service[/db][?options]
    redis+cluster://[user:password@]host[:port][,host[:port]…][?options]

and `rediss+sentinel://`, `rediss+cluster://` for TLS. User and password are those of the Redis servers; Sentinels that
want one of their own get `sentinel_username` and `sentinel_password` as options.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from redis.connection import parse_url

from messaging.errors import InvalidRedisUrl

__all__ = [
    "Address",
    "Cluster",
    "RedisAddress",
    "Sentinels",
    "SingleServer",
    "Transport",
    "describe",
    "parse_redis_url",
]

Address: TypeAlias = tuple[str, int]
Transport: TypeAlias = Literal["tcp", "tls", "unix"]

_SCHEMES: Final = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)
_PLACE: Final = re.compile(r"(?:[\w.-]*|\[[\w.:%]+\])(?::\d+)?(?:,(?:[\w.-]*|\[[\w.:%]+\])(?::\d+)?)*(?:/[\w./-]*)?")
"""One or more hosts with or without ports, and a path."""

_REDIS_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379

_OPTIONS: Final = frozenset({"db", "password", "socket_connect_timeout", "username"})
_TLS_OPTIONS: Final = frozenset(
    {
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_keyfile",
        "ssl_min_version",
        "ssl_password",
    }
)
_SENTINEL_OPTIONS: Final = frozenset({"sentinel_password", "sentinel_username"})
"""These are all the options that a URL may have. Time-outs of commands, retries, pool sizes and decoding are not the
operator's to choose: blocking commands, and the rule that no command is sent twice, depend on them."""


@dataclass(frozen=True, slots=True)
class SingleServer:
    """One server, or an endpoint that always leads to the primary."""

    transport: Transport
    options: Mapping[str, Any] = field(repr=False)
    """Keyword arguments of redis-py's connections, `host` and `port` or `path` among them."""


@dataclass(frozen=True, slots=True)
class Sentinels:
    """A primary whose address its Sentinels know."""

    transport: Literal["tcp", "tls"]
    options: Mapping[str, Any] = field(repr=False)
    """Keyword arguments of the connections to the primary, without its address."""
    seeds: tuple[Address, ...]
    service: str
    sentinel_options: Mapping[str, Any] = field(repr=False)
    """Keyword arguments of the connections to the Sentinels, without their addresses."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Redis Cluster, of which we use the node that owns our slot."""

    transport: Literal["tcp", "tls"]
    options: Mapping[str, Any] = field(repr=False)
    """Keyword arguments of the connections to any node, without its address."""
    seeds: tuple[Address, ...]


RedisAddress: TypeAlias = SingleServer | Sentinels | Cluster


def parse_redis_url(url: str) -> RedisAddress:
    """Reads a URL.

    Raises:
        InvalidRedisUrl: It cannot be read, or has an option that it must not have. The message hides its secrets.
    """
    reason = "its host, its port or an option cannot be read"
    try:
        return _parse(url)
    except _Unreadable as error:
        reason = str(error)
    except ValueError:  # from the standard library or redis-py; its text may quote the password
        pass
    raise InvalidRedisUrl(f"{describe(url)} is not a URL of Redis that Trunkline can use: {reason}")


def describe(url: str) -> str:
    """Returns the URL for people: without user, password and options, however badly it is written."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        return "(not a URL of Redis)"
    before_options = re.split(r"[?#]", rest, maxsplit=1)[0]
    place = before_options.rpartition("@")[2]
    # What an unescaped character has cut in two, or has no host behind it, may be a password.
    if ("@" in rest and "@" not in before_options) or (scheme != "unix" and not _PLACE.fullmatch(place)):
        return f"{scheme}://…"
    return f"{scheme}://***@{place}" if "@" in before_options else f"{scheme}://{place}"


def _parse(url: str) -> RedisAddress:
    scheme = url.partition("://")[0]
    if scheme not in _SCHEMES:
        raise _Unreadable(f"it must begin with one of {', '.join(f'{known}://' for known in _SCHEMES)}")
    parts = urlsplit(url)
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise _Unreadable("it has an @ after its host; special characters of a password must be percent-encoded")
    if parts.fragment:
        raise _Unreadable("it has a # part")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    form = scheme.partition("+")[2]
    tls = scheme.startswith("rediss")
    _check_options(query, form=form, tls=tls)
    if form == "sentinel":
        return _parse_sentinels(parts.netloc, parts.path, query, tls=tls)
    if form == "cluster":
        if parts.path.strip("/"):
            raise _Unreadable("a Redis Cluster has no databases to choose from")
        userinfo, seeds = _hosts(parts.netloc, default_port=_REDIS_PORT)
        return Cluster("tls" if tls else "tcp", _connection_options(userinfo, "0", query, tls=tls), seeds)
    if scheme == "unix":
        if not parts.path:
            raise _Unreadable("it has no path")
        return SingleServer("unix", _read_by_redis_py(url))
    _check_database(parts.path.strip("/"))
    options = _read_by_redis_py(url)
    return SingleServer("tls" if tls else "tcp", {"host": "localhost", "port": _REDIS_PORT, **options})


def _parse_sentinels(netloc: str, path: str, query: Mapping[str, str], *, tls: bool) -> Sentinels:
    service, _, database = path.strip("/").partition("/")
    if not service:
        raise _Unreadable("it has no service: redis+sentinel://host:port/service")
    _check_database(database)
    userinfo, seeds = _hosts(netloc, default_port=_SENTINEL_PORT)
    options = _connection_options(
        userinfo,
        database or "0",
        {name: text for name, text in query.items() if name not in _SENTINEL_OPTIONS},
        tls=tls,
    )
    of_sentinels = {name: value for name, value in options.items() if name.startswith(("ssl_", "socket_"))}
    of_sentinels |= {name.removeprefix("sentinel_"): text for name, text in query.items() if name in _SENTINEL_OPTIONS}
    return Sentinels("tls" if tls else "tcp", options, seeds, service, of_sentinels)


def _hosts(netloc: str, *, default_port: int) -> tuple[str, tuple[Address, ...]]:
    userinfo, _, hosts = netloc.rpartition("@")
    addresses: list[Address] = []
    for host in hosts.split(","):
        single = urlsplit(f"//{host}")
        if not single.hostname:
            raise _Unreadable("it names no host, or has an empty one in its list")
        addresses.append((single.hostname, single.port or default_port))
    return userinfo, tuple(addresses)


def _connection_options(userinfo: str, database: str, query: Mapping[str, str], *, tls: bool) -> dict[str, Any]:
    """Has redis-py read the options as it would for one server, so that they mean the same in every form."""
    scheme = "rediss" if tls else "redis"
    at = f"{userinfo}@" if userinfo else ""
    options = _read_by_redis_py(f"{scheme}://{at}seed/{quote(database)}?{urlencode(query)}")
    del options["host"]
    return options


def _read_by_redis_py(url: str) -> dict[str, Any]:
    options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]  # redis-py has no types here
    options.pop("connection_class", None)  # ours can do more
    return options


def _check_options(query: Mapping[str, str], *, form: str, tls: bool) -> None:
    allowed = _OPTIONS
    if tls:
        allowed |= _TLS_OPTIONS
    if form == "sentinel":
        allowed |= _SENTINEL_OPTIONS
    if form == "cluster":
        allowed -= {"db"}  # a Cluster has one database
    if unknown := sorted(query.keys() - allowed):
        raise _Unreadable(
            f"it cannot have these options: {', '.join(unknown)}; it can have: {', '.join(sorted(allowed))}"
        )
    if query.get("ssl_cert_reqs", "none") not in ("none", "optional", "required"):
        raise _Unreadable("its ssl_cert_reqs is none of: none, optional, required")


def _check_database(text: str) -> None:
    if text and not text.isdecimal():
        raise _Unreadable("its database is not a number")


class _Unreadable(ValueError):
    """Why a URL cannot be read, in words that quote none of its secrets."""
