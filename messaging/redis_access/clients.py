"""Building clients of Redis from a URL: blocking and asyncio ones, with the same options, from this one place.

Three things about them are promises. No command is ever sent twice by the client: a fetch whose answer was lost would
take two batches. No blocking command runs into the socket's time-out. And when all connections are in use, a caller
waits for one, and does not fail.
"""

import contextlib
import errno
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, assert_never

import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from messaging.errors import RedisFull, RedisUnreachable
from messaging.redaction import redact
from messaging.redis_access.primary import (
    AsyncPrimaryConnection,
    AsyncTlsPrimaryConnection,
    PrimaryConnection,
    PrimaryLocator,
    TlsPrimaryConnection,
    primary_by_sentinels,
    primary_in_cluster,
)
from messaging.redis_access.url import (
    Cluster,
    RedisAddress,
    Sentinels,
    SingleServer,
    Transport,
    describe,
    parse_redis_url,
)

__all__ = ["ClientOptions", "build_async_client", "build_client", "connection_errors", "reason_of"]

_MARGIN: Final = timedelta(seconds=5)
"""How much longer than the longest blocking command a socket waits for an answer."""

_CONNECT_TIMEOUT_S: Final = 5.0
_HEALTH_CHECK_INTERVAL_S: Final = 15
"""A connection that was idle for longer is tried with a PING before a command goes out on it."""

_LOCATE_TIMEOUT_S: Final = 1.0
"""For one Sentinel, or one node of a Cluster, that is asked where the primary is: there are others to ask."""

_BLOCKING: Final[Mapping[Transport, type[PrimaryConnection | redis.UnixDomainSocketConnection]]] = {
    "tcp": PrimaryConnection,
    "tls": TlsPrimaryConnection,
    "unix": redis.UnixDomainSocketConnection,
}
_ASYNC: Final[Mapping[Transport, type[AsyncPrimaryConnection | redis.asyncio.UnixDomainSocketConnection]]] = {
    "tcp": AsyncPrimaryConnection,
    "tls": AsyncTlsPrimaryConnection,
    "unix": redis.asyncio.UnixDomainSocketConnection,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """What the two kinds of clients have in common."""

    longest_block: timedelta
    """The longest time-out of any blocking command that will be sent."""
    max_connections: int
    """At most this many connections; who wants one more waits. A blocked command occupies one."""
    hash_tag: str = "trunkline"
    """What all keys have in braces: its slot decides which node of a Cluster is used."""
    client_name: str | None = None
    """What CLIENT LIST calls the connections; no spaces."""
    decode_responses: bool = False
    """Answers as text instead of bytes."""

    @property
    def socket_timeout(self) -> timedelta:
        """How long an answer may take before the connection counts as lost."""
        return self.longest_block + _MARGIN


def build_client(url: str, options: ClientOptions) -> redis.Redis:
    """Builds a blocking client. Nothing is connected before its first command.

    Its commands raise redis-py's errors, `redis.ConnectionError` or `redis.TimeoutError` when Redis is away or hands
    over to a replica; none of them has been repeated.

    Raises:
        InvalidRedisUrl: See `parse_redis_url`.
    """
    address = parse_redis_url(url)
    pool = redis.BlockingConnectionPool(  # type: ignore[no-untyped-call]  # redis-py has no types here
        connection_class=_BLOCKING[address.transport],
        max_connections=options.max_connections,
        timeout=options.socket_timeout.total_seconds(),
        **_connection_options(address, options, retry=Retry(NoBackoff(), 0)),
    )
    return redis.Redis.from_pool(pool)


def build_async_client(url: str, options: ClientOptions) -> redis.asyncio.Redis:
    """Builds an asyncio client, for one event loop. Otherwise as `build_client`."""
    address = parse_redis_url(url)
    pool = redis.asyncio.BlockingConnectionPool(
        connection_class=_ASYNC[address.transport],
        max_connections=options.max_connections,
        timeout=options.socket_timeout.total_seconds(),
        **_connection_options(address, options, retry=redis.asyncio.retry.Retry(NoBackoff(), 0)),
    )
    return redis.asyncio.Redis.from_pool(pool)


@contextlib.contextmanager
def connection_errors(url: str) -> Iterator[None]:
    """Translates what redis-py raises when Redis cannot be reached; works around `await` as well.

    Raises:
        RedisFull: With the URL, when it takes nothing more.
        RedisUnreachable: With the URL (without its password), the reason, and what to do next.
    """
    try:
        yield
    except OutOfMemoryError as error:
        raise RedisFull(describe(url)) from error
    except (RedisConnectionError, RedisTimeoutError) as error:
        raise RedisUnreachable(f"Redis at {describe(url)}", reason_of(error)) from error


def reason_of(error: redis.RedisError) -> str:
    """Returns why a connection failed, for people: the operating system's own words where it has any.

    asyncio and redis-py wrap those in ever different ones.
    """
    beneath = error.__context__
    if isinstance(beneath, OSError) and not isinstance(beneath, ssl.SSLError):
        number = beneath.errno or 0
        if number in errno.errorcode:
            return os.strerror(number)
    return redact(str(error).strip().rstrip(".")) or type(error).__name__


def _connection_options(address: RedisAddress, options: ClientOptions, *, retry: object) -> dict[str, Any]:
    always: dict[str, Any] = {
        "socket_connect_timeout": _CONNECT_TIMEOUT_S,
        "socket_timeout": options.socket_timeout.total_seconds(),
        "health_check_interval": _HEALTH_CHECK_INTERVAL_S,
        "retry": retry,
        "client_name": options.client_name,
        "decode_responses": options.decode_responses,
        # RESP 3 would bring a handshake, and push messages we do not read; the scripts' answers are the same in both.
        "protocol": 2,
        "driver_info": None,
    }
    match address:
        case SingleServer(transport="unix"):
            where: Mapping[str, Any] = {}
        case SingleServer():
            where = {"socket_keepalive": True}
        case Sentinels() | Cluster():
            where = {"socket_keepalive": True, "locator": _locator(address, hash_tag=options.hash_tag)}
        case _:
            assert_never(address)
    return {**always, **where, **address.options}


def _locator(address: Sentinels | Cluster, *, hash_tag: str) -> PrimaryLocator:
    tls = address.transport == "tls"
    asking = {
        "protocol": 2,
        "driver_info": None,
        "socket_connect_timeout": _LOCATE_TIMEOUT_S,
        "socket_timeout": _LOCATE_TIMEOUT_S,
    }
    match address:
        case Sentinels(seeds=seeds, service=service, sentinel_options=options):
            return primary_by_sentinels(seeds, service=service, tls=tls, options={**options, **asking})
        case Cluster(seeds=seeds, options=options):
            return primary_in_cluster(seeds, hash_tag=hash_tag, tls=tls, options={**options, **asking})
        case _:
            assert_never(address)
