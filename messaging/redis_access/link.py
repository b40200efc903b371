"""A connection of one's own to Redis, for a caller that uses it all the time.

redis-py's asyncio client takes a connection from its pool, wraps each command and arms a timer for every read;
measured, that is more than half of what a round trip costs. This keeps one of the client's own connections (with its
address, TLS, authentication and fail-over) and writes to it directly.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import redis.asyncio
from hiredis import pack_command
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from messaging.command import Word


class RedisLink:
    """One connection, made at its first use and again after it broke. One caller at a time.

    Args:
        client: Where the connection comes from.
    """

    def __init__(self, client: "redis.asyncio.Redis") -> None:
        self._pool: Any = client.connection_pool
        self._connection: Any = None
        self._timeout_s: float | None = None

    async def round_trip(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Sends commands in one write and reads their answers, errors among them.

        Raises:
            redis.exceptions.ConnectionError: The connection broke; nobody knows which of them were carried out.
            redis.exceptions.TimeoutError: The answers did not come in time; likewise.
        """
        connection = self._connection
        if connection is None:
            connection = self._connection = self._pool.make_connection()
            # One timer for all answers instead of one for each.
            self._timeout_s, connection.socket_timeout = connection.socket_timeout, None
        complete = False
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.send_packed_command(b"".join(map(_packed, commands)))
                answers = [await self._answer() for _ in commands]
            complete = True
        except TimeoutError:
            raise RedisTimeoutError("no answer in time") from None
        finally:
            if not complete:
                # What is still on its way belongs to nobody: the next caller gets a fresh connection.
                self._connection = None
                await connection.disconnect(nowait=True)
        return answers

    async def ask(self, command: Sequence[Word]) -> Any:
        """Sends one command and reads its answer.

        Raises:
            redis.exceptions.RedisError: What Redis answered, or that the connection broke.
        """
        [answer] = await self.round_trip([command])
        if isinstance(answer, ResponseError):
            raise answer
        return answer

    async def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            await self._connection.disconnect()
            self._connection = None

    async def _answer(self) -> Any:
        try:
            return await self._connection.read_response()
        except ResponseError as error:
            return error


def _packed(words: Sequence[Word]) -> bytes:
    packed: bytes = pack_command(tuple(words))  # type: ignore[arg-type]  # its stub knows tuples of one word only
    return packed
