"""Five hundred calls in flight in one process: nothing that keeps it honest stops working."""

import signal

import pytest

from messaging.envelopes import living_workers
from tests.scenarios.deployment import HEARTBEAT_TIMEOUT, Deployment
from tests.scenarios.endpoint import ask, call, say
from tests.scenarios.waiting import all_of, wait_until

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]

PER_JOB = 100
LIMITS = {"calls_per_turn": PER_JOB, "calls": PER_JOB}


async def test_five_hundred_calls_in_flight_are_beaten_for_cancelled_timed_out_and_given_back(
    deployment: Deployment,
) -> None:
    await deployment.run("orchestrator")
    worker = await deployment.run("workers", pool="alpha", calls_at_once=600, stop_timeout=0.3)
    [before] = [info for info in deployment.ask(living_workers()) if info["pid"] == worker.pid]
    napping = deployment.endpoint.script(ask(*[call("nap", seconds=60)] * PER_JOB), say("never"))
    jobs = await all_of(deployment.submit(f"job {number}", model=napping, limits=LIMITS) for number in range(5))
    await wait_until(lambda: len(deployment.notes(what="begin")) == 5 * PER_JOB, "the calls in flight")

    hanging = deployment.endpoint.script(ask(*[call("hang")] * PER_JOB), say("so be it"))
    late = await deployment.completed(model=hanging, limits=LIMITS)
    assert [kind for kind, _ in await deployment.outcomes(late)] == ["timed_out"] * PER_JOB

    cancelled, *others = jobs
    await deployment.client.cancel(cancelled.job_id)
    await deployment.noted("cancelled", cancelled, times=PER_JOB)
    assert not [note for job in others for note in deployment.notes(job, what="cancelled")]

    [now] = [info for info in deployment.ask(living_workers()) if info["pid"] == worker.pid]
    assert (now["worker"], now["held"]) == (before["worker"], len(others) * PER_JOB)
    assert now["silent_ms"] < HEARTBEAT_TIMEOUT.total_seconds() * 1000
    assert "declared dead" not in worker.log.read_text()

    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0
    assert deployment.redis.llen(f"{deployment.prefix}:alpha") == len(others) * PER_JOB
    assert not deployment.redis.exists(f"{deployment.prefix}:alpha:crashes")
    await all_of(deployment.client.cancel(job.job_id) for job in others)
    await deployment.run("workers", pool="alpha")
