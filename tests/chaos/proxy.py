"""A TCP proxy that cuts and delays connections, and loses answers. It knows nothing of what goes through it."""

import asyncio
import random
import threading
from types import TracebackType
from typing import Final, Self

_AT_ONCE: Final = 2**16


class Proxy:
    """A proxy on 127.0.0.1, on a thread of its own. Use it in a `with` statement.

    Args:
        port: Of the server behind it, on 127.0.0.1 as well.
    """

    def __init__(self, port: int) -> None:
        self._behind = port
        self._ends: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self.port = 0
        """Where it listens."""
        self.delay_s = 0.0
        """How long everything is held up on its way, in both directions."""
        self.losing_answers = False
        """Whether a connection is cut as soon as the server answers, and that answer is lost."""
        self.answers_lost = 0
        self.cuts = 0
        """How many connections were cut."""

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self, share: float = 1.0) -> None:
        """Cuts connections; with `share` only some of them, by chance."""
        self._loop.call_soon_threadsafe(self._cut, share)

    async def _listen(self) -> int:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _cut(self, share: float) -> None:
        for writer in list(self._ends):
            if random.random() < share:
                writer.transport.abort()
                self.cuts += 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._behind)
        except OSError:
            writer.transport.abort()
            return
        self._ends.add(writer)
        ways = [
            asyncio.create_task(self._pass_on(reader, server_writer)),
            asyncio.create_task(self._pass_on(server_reader, writer, answers=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._ends.discard(writer)
            for way in ways:
                way.cancel()
            writer.transport.abort()
            server_writer.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        try:
            while data := await reader.read(_AT_ONCE):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if answers and self.losing_answers:
                    self.answers_lost += 1
                    return
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return
