"""What the catalogue holds, read at most once a second by a process."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from ledger.catalogue import PublishedTool, read_catalogue
from messaging.command_runner import AsyncCommandRunner

_KEEP_S: Final = 1.0
_KEEP_FRESH_S: Final = 0.05


class CatalogueView:
    """Reads the catalogue for this process's turns."""

    def __init__(self, runner: AsyncCommandRunner) -> None:
        self._runner = runner
        self._tools: Sequence[PublishedTool] = ()
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def tools(self, *, fresh: bool = False) -> Sequence[PublishedTool]:
        """The tools, as of at most a second ago; or, if `fresh`, as of now."""
        keep_s = _KEEP_FRESH_S if fresh else _KEEP_S
        if time.monotonic() - self._read_at > keep_s:
            async with self._reading:
                if time.monotonic() - self._read_at > keep_s:
                    self._tools = await self._runner.run(read_catalogue())
                    self._read_at = time.monotonic()
        return self._tools
