"""Reading the ledger's feed: entries are handed to whoever makes something of them, and acknowledged after that.

Several processes may read as one group: each entry goes to one of them, and those of a process that died to another.
An entry may so be handled twice; handling it must do no harm then.
"""

import asyncio
import contextlib
import os
import platform
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final
from uuid import uuid4

import structlog

from ledger.feed import READER_SILENCE, FeedEntry, FeedRead, acknowledge_feed, leave_feed, read_feed
from messaging.command_runner import AsyncCommandRunner

_log = structlog.get_logger(__name__)

#: Entries that are read and acknowledged together.
AT_ONCE: Final = 200
#: How long nothing new is waited for before the feed is asked again.
IDLE_PAUSE: Final = timedelta(milliseconds=500)
#: How long what is under way may go on after a stop.
STOP_PATIENCE: Final = timedelta(seconds=3)
#: How long Redis is told that a reader goes; it finds out by itself.
LEAVE_PATIENCE: Final = timedelta(seconds=1)
_BEAT: Final = READER_SILENCE / 5

#: Makes something of entries; answers what it counts, by name, or None if it has acknowledged them itself. What it
#: raises keeps the entries unacknowledged.
Handle = Callable[[Sequence[FeedEntry]], Awaitable[Mapping[str, int] | None]]


def reader_name() -> str:
    """A name for a reader of this process, which no other one has."""
    return f"{platform.node()}-{os.getpid()}-{uuid4().hex[:8]}"


class FeedReader:
    """Reads the feed for one purpose.

    Args:
        runner: Carries commands.
        group: The purpose. Groups read independently: one that is held up holds up no other.
        handle: What is done with entries.
        name: Of the reader; see `reader_name`.
    """

    def __init__(self, runner: AsyncCommandRunner, *, group: str, handle: Handle, name: str | None = None) -> None:
        self.runner = runner
        self.group = group
        self._handle = handle
        self._reader = name or reader_name()
        self.last_read: FeedRead | None = None
        """What the last read said of how far behind the group is."""

    async def run(self, stop: asyncio.Event) -> None:
        """Reads until `stop` is set; then others get at once what was not acknowledged."""
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                reading = asyncio.create_task(self.read_once())
                await asyncio.wait((reading, stopped), return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():  # whoever it is exported to may be away for long
                    await asyncio.wait((reading,), timeout=STOP_PATIENCE.total_seconds())
                    reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    if await reading == AT_ONCE:
                        continue
                # Also after some entries: many at once cost far less than few at a time.
                await asyncio.wait((stopped,), timeout=IDLE_PAUSE.total_seconds())
        finally:
            stopped.cancel()
            with contextlib.suppress(TimeoutError):  # Redis may be away, for good perhaps
                leave = self.runner.run(leave_feed(self.group, self._reader))
                await asyncio.wait_for(leave, LEAVE_PATIENCE.total_seconds())

    async def read_once(self) -> int:
        """Handles what there is, at most `AT_ONCE` entries; answers how many."""
        read = self.last_read = await self.runner.run(read_feed(self.group, self._reader, room=AT_ONCE))
        if not read.entries:
            return 0
        beats = asyncio.create_task(self._beat())
        try:
            counts = await self._handle(read.entries)
        finally:
            beats.cancel()
        if counts is not None:
            await self.runner.run(acknowledge_feed(self.group, self._reader, read.entries, counts=counts))
        return len(read.entries)

    async def _beat(self) -> None:
        """Says that this reader lives, however long an export takes."""
        while True:
            await asyncio.sleep(_BEAT.total_seconds())
            self.last_read = await self.runner.run(read_feed(self.group, self._reader, room=0))
