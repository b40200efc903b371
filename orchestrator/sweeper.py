"""Looking, now and then, for jobs that no message will wake any more.

One process of the deployment does it at a time.
"""

import asyncio
from datetime import timedelta

import structlog

from ledger.sweeping import JOBS_AT_ONCE, sweep
from messaging.command import Command
from messaging.command_runner import AsyncCommandRunner

_log = structlog.get_logger(__name__)


async def sweep_for_ever(runner: AsyncCommandRunner, *, namespace: str, interval: timedelta) -> None:
    """Sweeps once an interval, unless another process did."""
    while True:
        await asyncio.sleep(interval.total_seconds())
        try:
            if await runner.run(_take_round(namespace, interval)):
                await sweep_once(runner)
        # A boundary: whatever goes wrong with one round must not end the sweeping of this process.
        except Exception:  # noqa: BLE001
            _log.exception("a sweep failed")


async def sweep_once(runner: AsyncCommandRunner) -> int:
    """Looks at every job that has not ended; answers how many were repaired."""
    offset = repaired = 0
    while True:
        swept = await runner.run(sweep(offset))
        repaired += swept.repaired
        if swept.looked_at < JOBS_AT_ONCE:
            break
        offset += swept.looked_at
        await asyncio.sleep(0)
    if repaired:
        _log.error("repaired jobs that no message would have woken; this should not happen", jobs=repaired)
    return repaired


def _take_round(namespace: str, interval: timedelta) -> Command[bool]:
    ms = round(interval / timedelta(milliseconds=1))
    return Command(None, ("SET", f"{namespace}:sweep:round", "taken", "NX", "PX", max(1, ms * 9 // 10)), bool)
