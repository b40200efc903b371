"""Reading the facts of jobs from the ledger, many at once."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from ledger.job_record import read_all_events, read_record
from messaging.command import Command, whole
from messaging.command_runner import AsyncCommandRunner, BlockingRunner
from telemetry.job_facts import JobFacts
from telemetry.reading_events import facts_of

_log = structlog.get_logger(__name__)

#: Two batches of the feed.
_JOBS_KEPT: Final = 400


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
    """Reads facts for all that a process tells of them: traces and metrics want those of the same jobs at one time.

    Args:
        runner: Carries commands.
        namespace: The key prefix, braces included.
    """

    def __init__(self, runner: AsyncCommandRunner, *, namespace: str) -> None:
        self._runner = runner
        self._namespace = namespace
        self._reading = asyncio.Lock()
        self._ended: dict[str, JobFacts] = {}
        """Of jobs that have ended, which change no more; the latest ones."""

    async def read(self, job_ids: Iterable[str]) -> Mapping[str, JobFacts | None]:
        """The facts of jobs by id: None of those that cannot be understood; those that have expired are missing."""
        ids = list(dict.fromkeys(job_ids))
        async with self._reading:  # who comes second finds what the first one has read
            known = {id: self._ended[id] for id in ids if id in self._ended}
            read = await self._read([id for id in ids if id not in known])
            self._ended |= {id: facts for id, facts in read.items() if facts is not None and has_ended(facts)}
            for id in list(self._ended)[:-_JOBS_KEPT]:
                del self._ended[id]
        return known | read

    async def _read(self, ids: Sequence[str]) -> dict[str, JobFacts | None]:
        """One write to Redis for all of them."""
        records = [read_record(self._namespace, id) for id in ids]
        events = [read_all_events(self._namespace, id) for id in ids]
        answers = await self._runner.run_all([*map(_undecoded, records), *map(_undecoded, events)])
        facts: dict[str, JobFacts | None] = {}
        for index, id in enumerate(ids):
            try:
                record = records[index].decode(answers[index])
                if record is not None:
                    facts[id] = facts_of(record, events[index].decode(answers[len(ids) + index]))
            # A boundary: a newer process may have written it, and a job of which nothing can be told must not hold
            # up all others for ever.
            except Exception:  # noqa: BLE001
                _log.exception("the facts of a job cannot be understood", job=id)
                facts[id] = None
        return facts


def _undecoded(command: Command[Any]) -> Command[Any]:
    return replace(command, decode=whole)


def has_ended(facts: JobFacts) -> bool:
    """Whether nothing more will happen to the job: by its record and its events, which are read one after the other."""
    return facts.record.ended_us is not None and facts.ended_us is not None
