"""Keeps the metrics: measures what the feed announces, and adds it up in Redis together with the acknowledgement.

So an entry counts once, whoever reads it and however often: a process that dies before that one step has added nothing,
and one that was taken for dead is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from ledger.feed import FeedEntry
from messaging.command_runner import AsyncCommandRunner
from telemetry.facts_reader import FactsReader
from telemetry.job_facts import JobFacts, may_report
from telemetry.metrics.fields import additions_of, sum_up
from telemetry.metrics.instruments import FEED_UNMEASURED
from telemetry.metrics.label_gate import LabelGate
from telemetry.metrics.measurements import Measurement
from telemetry.metrics.measuring import Measuring
from telemetry.metrics.store import apply_metrics

__all__ = ["METRICS_GROUP", "MetricsKeeper"]

#: The readers of the feed that keep the metrics.
METRICS_GROUP: Final = "metrics"

_log = structlog.get_logger(__name__)


class MetricsKeeper:
    """Handles entries of the feed.

    Args:
        runner: Carries commands.
        facts: Where the facts of entries come from.
        measuring: What entries add.
        reader: The name under which they were read.
    """

    def __init__(self, runner: AsyncCommandRunner, *, facts: FactsReader, measuring: Measuring, reader: str) -> None:
        self._runner = runner
        self._facts = facts
        self._measuring = measuring
        self._reader = reader
        self._gate = LabelGate(runner)

    async def handle(self, entries: Sequence[FeedEntry]) -> None:
        """Adds up what some entries come to, and acknowledges them."""
        telling = {entry.job_id for entry in entries if may_report(entry)}
        facts = await self._facts.read(telling)
        if await self._apply(entries, facts):
            return
        # One of them was taken over by another reader, which adds it up itself.
        for entry in entries:
            await self._apply([entry], facts)

    async def _apply(self, entries: Sequence[FeedEntry], facts: Mapping[str, JobFacts | None]) -> bool:
        sums = sum_up(measured for entry in entries for measured in self._measure(entry, facts))
        additions = additions_of(await self._gate.pass_through(sums))
        ids = [entry.id for entry in entries]
        return await self._runner.run(apply_metrics(METRICS_GROUP, self._reader, ids, additions))

    def _measure(self, entry: FeedEntry, facts: Mapping[str, JobFacts | None]) -> Sequence[Measurement]:
        if not may_report(entry):
            return ()  # a turn that is told later
        if entry.job_id not in facts:
            return (_unmeasured(entry, "expired"),)
        of_job = facts[entry.job_id]
        if of_job is None:
            return (_unmeasured(entry, "unreadable"),)
        try:
            return self._measuring.measure(of_job, entry)
        # A boundary: an entry that cannot be measured would be handed out for ever, and hold up all that follow.
        except Exception:  # noqa: BLE001
            _log.exception("a feed entry could not be measured", job=entry.job_id, turn=entry.turn)
            return (_unmeasured(entry, "unreadable"),)


def _unmeasured(entry: FeedEntry, reason: str) -> Measurement:
    return Measurement(FEED_UNMEASURED, (reason,), 1, entry.ended_us)
