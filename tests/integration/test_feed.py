"""Those who read the feed: every entry is handled, a dead reader's by another, and what was lost is counted."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
import redis
import redis.asyncio

from ledger import feed, job_end
from ledger.feed import FeedEntry
from messaging.command_runner import PipeliningRunner
from telemetry.feed import FeedReader
from tests.simulation import NAMESPACE, Simulation

GROUP = "spans"


@pytest.fixture
async def runner(redis_url: str) -> AsyncIterator[PipeliningRunner]:
    client = redis.asyncio.Redis.from_url(redis_url)
    runner = PipeliningRunner(client, namespace=NAMESPACE)
    yield runner
    await runner.close()
    await client.aclose()


@pytest.fixture
def simulation(redis_url: str, runner: PipeliningRunner) -> Simulation:
    return Simulation(redis.Redis.from_url(redis_url))


def end_jobs(simulation: Simulation, number: int) -> list[str]:
    jobs = [simulation.accept("hello").job_id for _ in range(number)]
    for job in jobs:
        simulation.run(job_end.cancel_job(job, reason="enough"))
    return jobs


class Handled:
    def __init__(self) -> None:
        self.entries: list[FeedEntry] = []

    async def __call__(self, entries: Sequence[FeedEntry]) -> Mapping[str, int]:
        self.entries += entries
        return {"handled": len(entries)}


async def test_entries_are_handled_once_and_counted(simulation: Simulation, runner: PipeliningRunner) -> None:
    jobs = end_jobs(simulation, 3)
    handled = Handled()
    reader = FeedReader(runner, group=GROUP, handle=handled)
    assert (await reader.read_once(), await reader.read_once()) == (3, 0)
    assert [(entry.job_id, entry.what, entry.turn) for entry in handled.entries] == [(job, "job", 1) for job in jobs]
    assert all(entry.accepted_us <= entry.ended_us + 1000 for entry in handled.entries)
    counts = await runner.run(feed.read_feed_counts(NAMESPACE, GROUP))
    assert (counts["handled"], counts["delivered"], counts.get("lost", 0)) == (3, 3, 0)
    assert reader.last_read is not None
    assert (reader.last_read.lag, reader.last_read.lag_s) == (0, 0)


async def test_two_groups_get_every_entry_each(simulation: Simulation, runner: PipeliningRunner) -> None:
    end_jobs(simulation, 2)
    one, other = Handled(), Handled()
    assert await FeedReader(runner, group="one", handle=one).read_once() == 2
    assert await FeedReader(runner, group="other", handle=other).read_once() == 2
    assert one.entries == other.entries


async def test_what_could_not_be_handled_is_there_for_another_reader(
    simulation: Simulation, runner: PipeliningRunner
) -> None:
    jobs = end_jobs(simulation, 2)

    async def fail(entries: Sequence[FeedEntry]) -> Mapping[str, int]:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # it is the one raised above
        await FeedReader(runner, group=GROUP, handle=fail).run(asyncio.Event())
    handled = Handled()
    assert await FeedReader(runner, group=GROUP, handle=handled).read_once() == 2
    assert [entry.job_id for entry in handled.entries] == jobs
    assert (await runner.run(feed.read_feed_counts(NAMESPACE, GROUP)))["taken_over"] == 2


async def test_a_living_readers_entries_are_left_alone_and_a_silent_ones_taken_over(
    simulation: Simulation, runner: PipeliningRunner
) -> None:
    end_jobs(simulation, 2)
    assert len((await runner.run(feed.read_feed(GROUP, "first", room=10))).entries) == 2
    second = await runner.run(feed.read_feed(GROUP, "second", room=10))
    assert (second.entries, second.lag, second.lag_s > 0) == ([], 2, True)
    simulation.redis.zadd(f"{NAMESPACE}:feed:group:{GROUP}:readers", {"first": 1})  # silent since 1970
    second = await runner.run(feed.read_feed(GROUP, "second", room=10))
    assert len(second.entries) == 2
    # The first one was not dead after all, and both say that they are done: that is counted once.
    acknowledged = [
        await runner.run(feed.acknowledge_feed(GROUP, reader, second.entries, counts={"spans": 7}))
        for reader in ("first", "second")
    ]
    assert acknowledged == [2, 0]
    assert (await runner.run(feed.read_feed_counts(NAMESPACE, GROUP)))["spans"] == 7


async def test_what_the_cap_took_is_counted(simulation: Simulation, runner: PipeliningRunner) -> None:
    end_jobs(simulation, 2)
    handled = Handled()
    reader = FeedReader(runner, group=GROUP, handle=handled)
    await reader.read_once()
    end_jobs(simulation, 5)
    simulation.redis.xtrim(f"{NAMESPACE}:feed", maxlen=2, approximate=False)
    assert await reader.read_once() == 2
    assert (await runner.run(feed.read_feed_counts(NAMESPACE, GROUP)))["lost"] == 3
    # And what was handed out to a reader that died with it.
    end_jobs(simulation, 2)
    await runner.run(feed.read_feed(GROUP, "dead", room=10))
    await runner.run(feed.leave_feed(GROUP, "dead"))
    simulation.redis.xtrim(f"{NAMESPACE}:feed", maxlen=1, approximate=False)
    assert await reader.read_once() == 1
    assert (await runner.run(feed.read_feed_counts(NAMESPACE, GROUP)))["lost"] == 4
