"""Connections that find the primary by themselves: through Sentinels, in a Cluster, or behind an endpoint that moves.

A connection asks where the primary is each time it connects. When the server it is connected to turns out not to be the
primary any more, it disconnects and reports a lost connection: the next command looks anew, and nothing is repeated.
All our keys share one hash tag, so of a Cluster we need one node only, and what works with one server works there too.

This module must not know which commands are sent, nor when to try again: that is for whoever sends them.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.retry import Retry

from messaging.redis_access.url import Address

__all__ = [
    "AsyncPrimaryConnection",
    "AsyncTlsPrimaryConnection",
    "Finding",
    "PrimaryConnection",
    "PrimaryLocator",
    "TlsPrimaryConnection",
    "owner_of_slot",
    "primary_by_sentinels",
    "primary_in_cluster",
]

_NOT_PRIMARY: Final = (ReadOnlyError, AskError, TryAgainError, ClusterDownError)
"""`MovedError` is an `AskError` and `MasterDownError` a `ClusterDownError`."""

_NOT_PRIMARY_CODES: Final = ("UNBLOCKED", "NOREPLICAS")
"""What redis-py has no class for: a blocking command on a server that is demoted, and a primary that is cut off."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a node said of where things are."""

    primary: Address
    others: tuple[Address, ...] = ()
    """Who else can be asked next time, when those we were told of are gone."""


class PrimaryLocator:
    """Asks the nodes of a deployment, one after the other, where its primary is. Used by all connections of a client.

    Args:
        seeds: Whom to ask first.
        tls: Whether to speak TLS with them.
        options: redis-py's arguments for connections to them.
        question: The command, word by word.
        read: Reads the answer of the node at an address; None if it does not know.
        sought: What is looked for, for error messages.
    """

    def __init__(
        self,
        seeds: Sequence[Address],
        *,
        tls: bool,
        options: Mapping[str, Any],
        question: Sequence[str],
        read: Callable[[Any, Address], Finding | None],
        sought: str,
    ) -> None:
        self._seeds = tuple(seeds)
        self._nodes = self._seeds
        self._tls = tls
        self._options = dict(options)
        self._question = tuple(question)
        self._read = read
        self._sought = sought

    def find(self) -> Address:
        """Returns where the primary is now.

        Raises:
            redis.ConnectionError: Nobody knows, or nobody answers.
        """
        failures: list[str] = []
        for node in self._nodes:
            with _noted(failures, node), self._blocking_client(node) as client:
                answer = client.execute_command(*self._question)
                if finding := self._read(answer, node):
                    return self._learn(node, finding)
        raise self._not_found(failures)

    async def find_async(self) -> Address:
        """Does what `find` does, on an event loop."""
        failures: list[str] = []
        for node in self._nodes:
            with _noted(failures, node):
                async with self._async_client(node) as client:
                    answer = await client.execute_command(*self._question)  # type: ignore[no-untyped-call]
                    if finding := self._read(answer, node):
                        return self._learn(node, finding)
        raise self._not_found(failures)

    def doubt(self) -> None:
        """Has others asked first next time: the last finding was wrong, perhaps since that node lags behind."""
        self._nodes = (*self._nodes[1:], *self._nodes[:1])

    def _blocking_client(self, node: Address) -> redis.Redis:
        pool = redis.ConnectionPool(
            connection_class=TlsPrimaryConnection if self._tls else PrimaryConnection,
            host=node[0],
            port=node[1],
            retry=Retry(NoBackoff(), 0),
            **self._options,
        )
        return redis.Redis.from_pool(pool)

    def _async_client(self, node: Address) -> redis.asyncio.Redis:
        pool = redis.asyncio.ConnectionPool(
            connection_class=AsyncTlsPrimaryConnection if self._tls else AsyncPrimaryConnection,
            host=node[0],
            port=node[1],
            retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
            **self._options,
        )
        return redis.asyncio.Redis.from_pool(pool)

    def _learn(self, node: Address, finding: Finding) -> Address:
        self._nodes = tuple(dict.fromkeys((node, *finding.others, *self._seeds)))
        return finding.primary

    def _not_found(self, failures: Sequence[str]) -> redis.ConnectionError:
        asked = ", ".join(f"{host}:{port}" for host, port in self._nodes)
        return redis.ConnectionError(f"{self._sought} is not known to {asked} {'; '.join(failures)}".rstrip())


def primary_by_sentinels(
    seeds: Sequence[Address], *, service: str, tls: bool, options: Mapping[str, Any]
) -> PrimaryLocator:
    """Locates the primary that Sentinels know by the name `service`."""
    return PrimaryLocator(
        seeds,
        tls=tls,
        options=options,
        question=("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service),
        read=lambda answer, _node: Finding((answer[0].decode(), int(answer[1]))) if answer else None,
        sought=f"the primary of the service {service!r}",
    )


def primary_in_cluster(
    seeds: Sequence[Address], *, hash_tag: str, tls: bool, options: Mapping[str, Any]
) -> PrimaryLocator:
    """Locates the node of a Cluster that owns the slot of a hash tag."""
    slot = key_slot(hash_tag.encode())
    return PrimaryLocator(
        seeds,
        tls=tls,
        options=options,
        question=("CLUSTER", "SLOTS"),
        read=lambda answer, node: owner_of_slot(slot, answer, asked=node),
        sought=f"the owner of slot {slot}",
    )


def owner_of_slot(slot: int, ranges: Sequence[Any], *, asked: Address) -> Finding | None:
    """Reads an answer to CLUSTER SLOTS.

    Args:
        slot: Whose owner is wanted.
        ranges: Each `[first slot, last slot, primary, replica …]`, a node being `[host, port, id, …]`.
        asked: The node that answered; a node without a host is on that node's host.

    Returns:
        The owner, and all other nodes of the cluster; None if nobody owns the slot, or the owner's host is unknown.
    """
    nodes: dict[Address, None] = {}
    owner: Address | None = None
    for first, last, *served_by in ranges:
        addresses = [_node_address(node, asked=asked) for node in served_by]
        nodes.update((address, None) for address in addresses if address is not None)
        if first <= slot <= last:
            owner = addresses[0]
    return None if owner is None else Finding(owner, tuple(nodes))


def _node_address(node: Sequence[Any], *, asked: Address) -> Address | None:
    host = (node[0] or b"").decode()
    return None if host == "?" else (host or asked[0], int(node[1]))


@contextlib.contextmanager
def _noted(failures: list[str], node: Address) -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:  # the next one may know
        failures.append(f"{node[0]}:{node[1]}: {error}")


@contextlib.contextmanager
def _doubting(locator: PrimaryLocator | None) -> Iterator[None]:
    try:
        yield
    except redis.RedisError:
        if locator is not None:
            locator.doubt()
        raise


def _is_not_primary(error: ResponseError) -> bool:
    return isinstance(error, _NOT_PRIMARY) or str(error).startswith(_NOT_PRIMARY_CODES)


class PrimaryConnection(redis.Connection):
    """A TCP connection of a blocking client.

    Args:
        locator: Says where to connect; None for the `host` and `port` among the options.
        options: What redis-py's own class takes.
    """

    def __init__(self, *, locator: PrimaryLocator | None = None, **options: Any) -> None:
        self._locator = locator
        super().__init__(**options)  # type: ignore[no-untyped-call]  # redis-py has no types here

    def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        """Connects, to where the primary is now."""
        if self._locator is not None and not self.is_connected:
            self.host, self.port = self._locator.find()
        with _doubting(self._locator):
            super().connect_check_health(check_health, retry_socket_connect)

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Reads an answer.

        Raises:
            redis.ConnectionError: The server is not the primary any more; it did not perform the command.
        """
        try:
            return super().read_response(*args, **options)
        except ResponseError as error:
            if not _is_not_primary(error):
                raise
            if self._locator is not None:
                self._locator.doubt()
            self.disconnect()  # type: ignore[no-untyped-call]  # redis-py has no types here
            raise redis.ConnectionError(f"{self.host}:{self.port} is not the primary any more: {error}") from error


class TlsPrimaryConnection(PrimaryConnection, redis.SSLConnection):
    """The same over TLS."""

    def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        """Connects, and reads what the server sends after the handshake.

        With TLS 1.3 that is session tickets. Left unread they make the socket readable, which redis-py (8.1) takes for
        an answer that nobody has read, and refuses the connection. The PING costs nothing: it stands for the health
        check that the first command would bring.
        """
        if self.is_connected:
            return
        super().connect_check_health(check_health, retry_socket_connect)
        try:
            self.send_command("PING", check_health=False)  # type: ignore[no-untyped-call]  # redis-py has no types here
            self.read_response()
        except redis.RedisError:
            self.disconnect()  # type: ignore[no-untyped-call]  # redis-py has no types here
            raise


class AsyncPrimaryConnection(redis.asyncio.Connection):
    """A TCP connection of an asyncio client. See `PrimaryConnection`."""

    def __init__(self, *, locator: PrimaryLocator | None = None, **options: Any) -> None:
        self._locator = locator
        super().__init__(**options)

    async def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        """Connects, to where the primary is now."""
        if self._locator is not None and not self.is_connected:
            self.host, self.port = await self._locator.find_async()
        with _doubting(self._locator):
            await super().connect_check_health(check_health, retry_socket_connect)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Reads an answer.

        Raises:
            redis.ConnectionError: The server is not the primary any more; it did not perform the command.
        """
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            if not _is_not_primary(error):
                raise
            if self._locator is not None:
                self._locator.doubt()
            await self.disconnect()
            raise redis.ConnectionError(f"{self.host}:{self.port} is not the primary any more: {error}") from error


class AsyncTlsPrimaryConnection(AsyncPrimaryConnection, redis.asyncio.SSLConnection):
    """The same over TLS."""
