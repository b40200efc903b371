"""Reading the facts of jobs from the ledger, many at once."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from ledger.job_record import read_all_events, read_record
from messaging.command import Command, whole
from messaging.command_runner import AsyncCommandRunner, BlockingRunner
from telemetry.job_facts import JobFacts
from telemetry.reading_events import facts_of

#: Jobs that have ended, of which the facts are kept.
_KEPT: Final = 400


def read_job_now(runner: BlockingRunner, job_id: str, *, namespace: str) -> tuple[JobFacts, int] | None:
    """The facts of one job so far, and Redis's time; None if there is no such job."""
    record = runner.run(read_record(namespace, job_id))
    if record is None:
        return None
    seconds, microseconds = runner.run(Command(None, ("TIME",), whole))
    return facts_of(record, runner.run(read_all_events(namespace, job_id))), int(seconds) * 1_000_000 + int(
        microseconds
    )


class FactsReader:
    """Reads the facts of jobs for several who ask for the same ones, as the groups of readers of a process do.

    Args:
        runner: Carries commands.
        namespace: The key prefix, braces included.
    """

    def __init__(self, runner: AsyncCommandRunner, *, namespace: str) -> None:
        self._runner = runner
        self._namespace = namespace
        self._ended: dict[str, JobFacts] = {}

    async def read(self, job_ids: Iterable[str]) -> Mapping[str, JobFacts]:
        """The facts by job; jobs that have expired are not among them. One write to Redis for all of them."""
        ids = list(dict.fromkeys(job_ids))
        facts = {id: self._ended[id] for id in ids if id in self._ended}
        missing = [id for id in ids if id not in facts]
        records = [self._runner.run(read_record(self._namespace, id)) for id in missing]
        events = [self._runner.run(read_all_events(self._namespace, id)) for id in missing]
        found, happened = await asyncio.gather(asyncio.gather(*records), asyncio.gather(*events))
        for record, of_job in zip(found, happened, strict=True):
            if record is not None:
                facts[record.job_id] = facts_of(record, of_job)
                if facts[record.job_id].ended_us is not None:  # nothing happens to it any more
                    self._ended[record.job_id] = facts[record.job_id]
        while len(self._ended) > _KEPT:
            del self._ended[next(iter(self._ended))]
        return facts
