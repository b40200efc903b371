"""A worker is killed with SIGKILL at each place of a call, for each effect that a tool may have."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import pytest
import pytest_asyncio

from messaging.embedded.embedded_redis import EmbeddedRedis
from tests.scenarios.deployment import RECOVERY, Deployment
from tests.scenarios.endpoint import Endpoint, ask, call, say
from tests.scenarios.messages import dead_letters
from tests.scenarios.waiting import all_of

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session"), pytest.mark.together]

#: Pool by effect, and the tools of each.
POOLS: Final = {"read": "reading", "idempotent": "repeating", "unsafe": "paying"}
DEEDS: Final = {"read": "read_deed", "idempotent": "idempotent_deed", "unsafe": "unsafe_deed"}
DEADLY: Final = {"read": "read_and_die", "idempotent": "repeat_and_die", "unsafe": "pay_and_die"}
#: What a lost unsafe call is waited for, seconds: its time limit and the grace.
UNSAFE_WAIT_S: Final = 2.4


@dataclass(frozen=True)
class Place:
    """Where a worker is killed, and what has to come of it for each effect: outcome, and how often the tool began."""

    name: str
    expected: dict[str, tuple[str, int]]
    fault: tuple[str, str] | None = None
    """None: the tool itself kills it."""


ONCE: Final = dict.fromkeys(POOLS, ("succeeded", 1))
TWICE: Final = {"read": ("succeeded", 2), "idempotent": ("succeeded", 2), "unsafe": ("unknown", 1)}
PLACES: Final = {
    place.name: place
    for place in (
        Place("before it claims the call", ONCE, ("before", "claim_call")),
        Place("after it has claimed the call", {**ONCE, "unsafe": ("unknown", 0)}, ("after", "claim_call")),
        Place("in the tool", TWICE),
        Place("before it records the outcome", TWICE, ("before", "record_outcome")),
        Place("after it has recorded the outcome", ONCE, ("after", "record_outcome")),
    )
}


@dataclass
class Story:
    """What became of the three calls of a job whose workers were killed."""

    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    begun: Counter[str] = field(default_factory=Counter)
    keys: dict[str, set[str]] = field(default_factory=dict)
    took_s: float = 0.0
    """From when there were new ones to the end of the job."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stories(
    scenario_redis: EmbeddedRedis, endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Story]]:
    """All places at once, each in a deployment of its own: most of the time of each is waiting."""
    folder = tmp_path_factory.mktemp("kills")
    deployments = [
        Deployment(scenario_redis.url, endpoint, folder, namespace=f"kill{number}") for number in range(len(PLACES))
    ]
    try:
        told = await all_of(_tell(one, place) for one, place in zip(deployments, PLACES.values(), strict=True))
        yield dict(zip(PLACES, told, strict=True))
    finally:
        for deployment in deployments:
            await deployment.client.close()
            deployment.stop_all()


async def _tell(deployment: Deployment, place: Place) -> Story:
    faults = {pool: [deployment.fault(*place.fault, of=pool)] if place.fault else [] for pool in POOLS.values()}
    workers = [deployment.start("workers", pool=pool, faults=faults[pool]) for pool in faults]
    await deployment.serving(deployment.start("orchestrator"), *workers)
    calls = ask(*[call(tool) for tool in (DEEDS if place.fault else DEADLY).values()])
    job = await deployment.submit(model=deployment.endpoint.script(calls, say("so be it")))
    await all_of(worker.was_killed() for worker in workers)
    assert all(fault.has_hit for of_pool in faults.values() for fault in of_pool)
    await deployment.serving(*[deployment.start("workers", pool=pool) for pool in POOLS.values()])
    serving_at = time.monotonic()
    result = await deployment.result(job)
    story = Story(took_s=time.monotonic() - serving_at)
    assert (result.state, result.answer) == ("completed", "so be it")
    for effect, one in zip(POOLS, await deployment.calls(job), strict=True):
        assert one.outcome is not None
        story.outcomes[effect] = (one.outcome.kind, one.outcome.content)
        story.attempts[effect] = one.attempts
        notes = [note for note in deployment.notes(job, what="begin") if note.call.endswith(f"/{one.index}")]
        story.begun[effect] = len(notes)
        story.keys[effect] = {note.key for note in notes}
    await deployment.keeps_its_promises()
    return story


@pytest.mark.parametrize("effect", POOLS)
@pytest.mark.parametrize("place", PLACES)
async def test_a_call_survives_its_worker_as_its_effect_allows(
    stories: dict[str, Story], place: str, effect: str
) -> None:
    story, (outcome, begun) = stories[place], PLACES[place].expected[effect]
    kind, content = story.outcomes[effect]
    assert (kind, story.begun[effect]) == (outcome, begun)
    assert len(story.keys[effect]) == min(begun, 1)
    if outcome == "unknown":
        assert "Whether the tool had its effect is not known" in content
    if begun == 2:
        assert story.attempts[effect] == 2


@pytest.mark.parametrize("place", PLACES)
async def test_the_work_of_a_killed_worker_goes_on_within_seconds(stories: dict[str, Story], place: str) -> None:
    assert stories[place].took_s < RECOVERY.total_seconds() + UNSAFE_WAIT_S


@pytest.mark.parametrize("effect", POOLS)
async def test_a_tool_that_kills_its_process_every_time_is_not_run_for_ever(
    deployment: Deployment, effect: str
) -> None:
    pool = POOLS[effect]
    await all_of([deployment.run("orchestrator"), deployment.run("workers", pool=pool)])
    deadly, harmless = call(DEADLY[effect], always=True), call(DEEDS[effect])
    job = await deployment.submit(model=deployment.endpoint.script(ask(deadly), ask(harmless), say("so be it")))
    restarting = asyncio.create_task(_restart(deployment, pool))
    try:
        assert (await deployment.result(job)).answer == "so be it"
    finally:
        restarting.cancel()
    (outcome, why), (goes_on, _) = await deployment.outcomes(job)
    began = [note for note in deployment.notes(job, what="begin") if "/1/0" in note.call]
    died = [process for process in deployment.processes if not process.alive]
    assert goes_on == "succeeded"
    if effect == "unsafe":
        assert (outcome, len(began), len(died)) == ("unknown", 1, 1)
        return
    assert (outcome, len(began), len(died)) == ("failed", 3, 3)
    assert "died 3 times" in why
    [cause] = dead_letters(deployment, pool).values()
    assert cause["reason"] == "crashed"


async def _restart(deployment: Deployment, pool: str) -> None:
    while True:
        if not deployment.processes[-1].alive:
            await deployment.processes[-1].was_killed()
            deployment.start("workers", pool=pool)
        await asyncio.sleep(0.02)
