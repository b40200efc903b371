"""Redis stops, is killed, forgets its scripts, cuts its connections or is full in the middle of jobs."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio
import redis

from ledger.accepting import Accepted
from messaging.embedded.embedded_redis import EmbeddedRedis
from messaging.envelopes import living_workers
from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import Endpoint, ask, call, say
from tests.scenarios.waiting import all_of, wait_until

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]

JOBS = 12
#: Of heartbeats; long enough that nobody is taken for dead because this machine is busy.
TIMEOUT_S = 2


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shaky(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    """A deployment on a Redis of its own, for all tests of this module."""
    with EmbeddedRedis(tmp_path_factory.mktemp("r")) as server:
        deployment = Deployment(server.url, endpoint, tmp_path_factory.mktemp("shaky"))
        deployment.server = server
        await deployment.serving(
            deployment.start("orchestrator", heartbeat_timeout=TIMEOUT_S),
            *[
                deployment.start("workers", pool=pool, calls_at_once=64, heartbeat_timeout=TIMEOUT_S)
                for pool in ("alpha,beta", "gamma,delta")
            ],
        )
        yield deployment
        await deployment.client.close()
        deployment.stop_all()


async def _begin(shaky: Deployment) -> list[Accepted]:
    """Jobs that are in the midst of everything: model calls, tools, retries."""
    model = shaky.endpoint.script(
        ask(call("pay", amount=1), call("nap", seconds=0.3), call("third_time"), call("walk", steps=3)).after(0.2),
        ask(call("pay", amount=2), call("watchful_nap", seconds=0.5), call("count", numbers=[1])).after(0.2),
        say("done").after(0.2),
    )
    jobs = await all_of(shaky.submit(f"job {number}", model=model) for number in range(JOBS))
    await wait_until(lambda: len(shaky.notes(jobs[0])) >= 2, "the middle of things")
    return jobs


async def _all_is_done_once(shaky: Deployment, jobs: list[Accepted]) -> None:
    for job in jobs:
        result = await shaky.result(job)
        assert (result.state, result.answer) == ("completed", "done"), result
        assert [kind for kind, _ in await shaky.outcomes(job)] == ["succeeded"] * 7
        paid = [note for note in shaky.notes(job, what="done") if note.call.endswith(("/1/0", "/2/0"))]
        assert len(paid) == 2
    await shaky.keeps_its_promises()
    assert all(process.alive for process in shaky.processes)


async def _keep_submitting(shaky: Deployment) -> list[Accepted]:
    """Hands jobs in without a pause, until it is cancelled; answers those that were accepted."""
    accepted: list[Accepted] = []
    model = shaky.endpoint.script(say("heard"))
    with suppress(asyncio.CancelledError):
        while True:
            accepted.append(await shaky.submit(model=model))
            await asyncio.sleep(0.02)
    return accepted


def _living(shaky: Deployment) -> set[str]:
    return {info["worker"] for info in shaky.ask(living_workers())}


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_nothing_is_lost_and_nobody_is_declared_dead_while_redis_is_away(shaky: Deployment, how: str) -> None:
    server = shaky.server
    assert server is not None
    jobs = await _begin(shaky)
    following = asyncio.create_task(shaky.result(jobs[0]))
    await wait_until(lambda: "xread" in {one["cmd"] for one in shaky.redis.client_list()}, "somebody who follows a job")
    workers = _living(shaky)
    upstream = asyncio.create_task(_keep_submitting(shaky))
    if how == "killed":
        os.kill(server.pid, signal.SIGKILL)
        await wait_until(lambda: not server.alive, "its death")
    else:
        server.stop()
    await asyncio.sleep(TIMEOUT_S * 1.2)  # longer than it takes to be declared dead
    server.start()
    await _all_is_done_once(shaky, jobs)
    upstream.cancel()
    accepted = await upstream
    assert len(accepted) > 1, "before and after"
    assert {(await shaky.result(job)).answer for job in accepted} == {"heard"}
    assert (await following).answer == "done"
    assert "Redis is away" in "".join(process.log.read_text() for process in shaky.processes)
    assert _living(shaky) == workers


async def test_scripts_that_redis_forgets_are_loaded_again(shaky: Deployment) -> None:
    jobs = await _begin(shaky)
    finished = asyncio.gather(*[shaky.result(job) for job in jobs])
    while not finished.done():
        shaky.redis.script_flush()
        await asyncio.sleep(0.001)
    await _all_is_done_once(shaky, jobs)


async def test_connections_that_are_cut_are_made_again(shaky: Deployment) -> None:
    jobs = await _begin(shaky)
    for _ in range(10):
        shaky.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # type: ignore[no-untyped-call]
        await asyncio.sleep(0.1)
    await _all_is_done_once(shaky, jobs)


async def test_a_full_redis_ends_what_has_begun_declares_nobody_dead_and_goes_on_when_there_is_room(
    shaky: Deployment,
) -> None:
    jobs = await _begin(shaky)
    ending = shaky.endpoint.script(ask(call("walk", steps=4), call("watchful_nap", seconds=0.5)), say("arrived"))
    job = await shaky.submit(model=ending)
    await shaky.noted("begin", job)
    workers = _living(shaky)
    shaky.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.OutOfMemoryError):
            shaky.redis.set("x", "y")
        asked_before = _scripts_run(shaky)
        begun = time.monotonic()
        assert (await shaky.result(job)).answer == "arrived"
        await shaky.run("workers", pool="gamma", heartbeat_timeout=TIMEOUT_S)
        await wait_until(lambda: time.monotonic() - begun > TIMEOUT_S * 1.2, "longer than it takes to be declared dead")
        assert workers <= _living(shaky)
        assert all(info["silent_ms"] < TIMEOUT_S * 1000 for info in shaky.ask(living_workers()))
        assert _scripts_run(shaky) - asked_before < 3000, "idle consumers do not wait"
    finally:
        shaky.redis.config_set("maxmemory", 0)
    await _all_is_done_once(shaky, jobs)
    assert workers <= _living(shaky)


def _scripts_run(shaky: Deployment) -> int:
    return int(shaky.redis.info("commandstats")["cmdstat_evalsha"]["calls"])
