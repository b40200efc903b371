"""Reading the facts of jobs from the ledger, many at once."""

import asyncio
from collections.abc import Iterable, Mapping

from ledger.job_record import read_all_events, read_record
from messaging.command import Command, whole
from messaging.command_runner import AsyncCommandRunner, BlockingRunner
from telemetry.job_facts import JobFacts
from telemetry.reading_events import facts_of


def read_job_now(runner: BlockingRunner, job_id: str, *, namespace: str) -> tuple[JobFacts, int] | None:
    """The facts of one job so far, and Redis's time; None if there is no such job."""
    record = runner.run(read_record(namespace, job_id))
    if record is None:
        return None
    seconds, microseconds = runner.run(Command(None, ("TIME",), whole))
    return facts_of(record, runner.run(read_all_events(namespace, job_id))), int(seconds) * 1_000_000 + int(
        microseconds
    )


async def read_facts(runner: AsyncCommandRunner, job_ids: Iterable[str], *, namespace: str) -> Mapping[str, JobFacts]:
    """The facts of jobs by id; those that have expired are not among them. One write to Redis for all of them."""
    ids = list(dict.fromkeys(job_ids))
    records = [runner.run(read_record(namespace, id)) for id in ids]
    events = [runner.run(read_all_events(namespace, id)) for id in ids]
    found, happened = await asyncio.gather(asyncio.gather(*records), asyncio.gather(*events))
    return {
        record.job_id: facts_of(record, events)
        for record, events in zip(found, happened, strict=True)
        if record is not None
    }
