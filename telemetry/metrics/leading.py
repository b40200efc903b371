"""Electing the one process that exports the metrics: they are the deployment's, and two would report them twice."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Final

import structlog
from redis.exceptions import RedisError

from messaging.command import Command
from messaging.command_runner import AsyncCommandRunner
from messaging.script import load_script

__all__ = ["LEADER_SILENCE", "Leading"]

#: Another process takes over from one that has not been heard of for this long.
LEADER_SILENCE: Final = timedelta(seconds=10)
_PAUSE_S: Final = LEADER_SILENCE.total_seconds() / 5

_log = structlog.get_logger(__name__)


class Leading:
    """Whether this process exports the metrics.

    Args:
        runner: Carries commands.
        name: Of this process; no other one has it.
    """

    def __init__(self, runner: AsyncCommandRunner, *, name: str) -> None:
        self._runner = runner
        self._name = name
        self.leads = False
        """Whether it is this one now, as far as it knows."""

    async def run(self, stop: asyncio.Event) -> None:
        """Asks again and again until `stop` is set; then another one may."""
        while not stop.is_set():
            await self.ask()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _PAUSE_S)
        self.leads = False
        with contextlib.suppress(RedisError, TimeoutError):
            await asyncio.wait_for(self._runner.run(_lead(self._name, gives_up=True)), _PAUSE_S / 2)

    async def ask(self) -> bool:
        """Asks once; answers whether it is this one now."""
        before = self.leads
        try:
            # Who does not hear in time that it still leads has to assume that it does not.
            self.leads = await asyncio.wait_for(self._runner.run(_lead(self._name)), _PAUSE_S * 2)
        except (RedisError, TimeoutError):
            self.leads = False
        if self.leads != before:
            _log.info("exports the metrics from now on" if self.leads else "does not export the metrics any more")
        return self.leads


def _lead(name: str, *, gives_up: bool = False) -> Command[bool]:
    ttl_ms = round(LEADER_SILENCE / timedelta(milliseconds=1))
    return Command(load_script("telemetry", "lead"), (name, ttl_ms, int(gives_up)), bool)
