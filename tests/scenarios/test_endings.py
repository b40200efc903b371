"""A cancel and a deadline end a job in whatever state it is, and tell everybody who works on it."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ledger.accepting import Accepted
from ledger.catalogue import publish_tools
from schemas.job_result import JobResult
from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import ask, call, say
from tests.scenarios.scenario_tools import wait_for_company
from tests.scenarios.waiting import all_of, wait_until
from trunkline import JobUnknown

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]

#: Long enough for a job to reach its state on a busy machine.
DEADLINE_MS = 1500
#: "Within a second", and what a busy machine adds.
AT_ONCE_S = 2.0

NAPS = {
    "nap": "cancelled",
    "watchful_nap": "cancelled",
    "unsafe_nap": "unknown",
}


async def test_a_cancel_reaches_running_tools_within_a_second(calm: Deployment) -> None:
    model = calm.endpoint.script(ask(*[call(tool, seconds=30) for tool in NAPS]))
    job = await calm.submit(model=model)
    await calm.noted("begin", job, times=3)
    cancelled_at = time.monotonic()
    result = await calm.client.cancel(job.job_id, reason="changed my mind")
    _assert_ended(result, "cancelled", "cancelled", "changed my mind")
    await calm.noted("cancelled", job, times=3)
    assert max(note.at for note in calm.notes(job, what="cancelled")) - cancelled_at < AT_ONCE_S
    outcomes = await calm.outcomes(job)
    assert [kind for kind, _ in outcomes] == list(NAPS.values())
    assert all("changed my mind" in content for _, content in outcomes)


async def test_a_deadline_reaches_running_tools_within_a_second(calm: Deployment) -> None:
    model = calm.endpoint.script(ask(*[call(tool, seconds=30) for tool in NAPS]))
    job = await calm.submit(model=model, timeout_ms=DEADLINE_MS)
    submitted_at = time.monotonic()
    await calm.noted("begin", job, times=3)
    result = await calm.result(job)
    _assert_ended(result, "expired", "deadline", "deadline")
    await calm.noted("cancelled", job, times=3)
    late_s = max(note.at for note in calm.notes(job, what="cancelled")) - submitted_at - DEADLINE_MS / 1000
    assert late_s < AT_ONCE_S
    # The worker and the orchestrator go by the same deadline: whichever is first, nobody is told two things.
    kinds = [kind for kind, _ in await calm.outcomes(job)]
    assert kinds[2] == "unknown"
    assert set(kinds[:2]) <= {"cancelled", "timed_out"}


@pytest.mark.parametrize("ending", ["cancelled", "expired"])
async def test_a_job_ends_while_it_waits_for_its_conversation(calm: Deployment, ending: str) -> None:
    seconds = DEADLINE_MS / 1000 + 0.7 if ending == "expired" else 0.7
    napping = calm.endpoint.script(ask(call("nap", seconds=seconds)), say("slept"))
    never = calm.endpoint.script(say("never said"))
    first = await calm.submit(model=napping)
    waiting = await calm.submit(model=never, conversation_id=first.conversation_id, **_terms(ending))
    last = await calm.submit(model=calm.endpoint.script(say("last")), conversation_id=first.conversation_id)
    assert (await calm.client.get(waiting.job_id)).state == "waiting"
    _assert_ended(await _end(calm, waiting, ending), ending)
    assert [result.answer for result in await all_of(calm.result(job) for job in (first, last))] == ["slept", "last"]
    assert calm.endpoint.requests(never) == []


@pytest.mark.parametrize("ending", ["cancelled", "expired"])
async def test_a_job_ends_while_the_model_is_called(calm: Deployment, ending: str) -> None:
    model = calm.endpoint.script(say("too late").after(8))
    job = await calm.submit(model=model, **_terms(ending))
    await wait_until(lambda: len(calm.endpoint.requests(model)) == 1, "the model call")
    _assert_ended(await _end(calm, job, ending), ending)
    assert await calm.client.conversation(job.conversation_id) == [{"role": "user", "content": "go"}]


@pytest.mark.parametrize("ending", ["cancelled", "expired"])
async def test_a_job_ends_before_any_orchestrator_has_seen_it(deployment: Deployment, ending: str) -> None:
    model = deployment.endpoint.script(say("never said"))
    terms: dict[str, Any] = {"timeout_ms": 1} if ending == "expired" else {}
    job = await deployment.submit(model=model, **terms)
    if ending == "cancelled":
        await deployment.client.cancel(job.job_id)
    await deployment.run("orchestrator")
    _assert_ended(await deployment.result(job), ending)
    await deployment.keeps_its_promises()
    assert deployment.endpoint.requests(model) == []


@pytest.mark.parametrize("ending", ["cancelled", "expired"])
async def test_calls_that_nobody_has_begun_are_not_run_after_the_end(deployment: Deployment, ending: str) -> None:
    deployment.ask(publish_tools([wait_for_company.specification]))
    await deployment.run("orchestrator")
    model = deployment.endpoint.script(ask(call("wait_for_company"), call("wait_for_company")))
    job = await deployment.submit(model=model, **_terms(ending))
    await wait_until(_queued(deployment, "lonely", 2), "two calls in the queue")
    _assert_ended(await _end(deployment, job, ending), ending)
    assert [kind for kind, _ in await deployment.outcomes(job)] == ["cancelled"] * 2
    await deployment.run("workers", pool="lonely")
    await deployment.keeps_its_promises()
    assert deployment.notes() == []


async def test_a_retry_that_is_scheduled_does_not_outlive_its_job(calm: Deployment) -> None:
    job = await calm.submit(model=calm.endpoint.script(ask(call("third_time")), say("done")))
    await calm.noted("begin", job)
    await calm.client.cancel(job.job_id)
    await calm.keeps_its_promises()
    assert len(calm.notes(job)) < 3
    assert [kind for kind, _ in await calm.outcomes(job)] == ["cancelled"]


async def test_a_job_that_has_ended_stays_as_it_is(calm: Deployment) -> None:
    job = await calm.completed(model=calm.endpoint.script(say("done")), timeout_ms=1000)
    assert await calm.client.cancel(job.job_id) == job
    await asyncio.sleep(1)  # the deadline has to pass
    assert await calm.client.get(job.job_id) == job


async def test_a_cancel_by_another_tenant_does_nothing(calm: Deployment) -> None:
    job = await calm.submit(model=calm.endpoint.script(ask(call("nap", seconds=0.3)), say("slept")))
    with pytest.raises(JobUnknown):
        await calm.client.cancel(job.job_id, tenant="somebody else")
    assert (await calm.result(job)).answer == "slept"


def _terms(ending: str) -> dict[str, Any]:
    return {"timeout_ms": DEADLINE_MS} if ending == "expired" else {}


async def _end(deployment: Deployment, job: Accepted, ending: str) -> JobResult:
    if ending == "cancelled":
        await deployment.client.cancel(job.job_id)
        return await deployment.result(job, timeout=timedelta(seconds=1))
    return await deployment.result(job)


def _assert_ended(result: JobResult, state: str, code: str | None = None, words: str = "") -> None:
    assert result.state == state
    assert result.error is not None
    assert result.error.code == (code or {"cancelled": "cancelled", "expired": "deadline"}[state])
    assert words in result.error.message


def _queued(deployment: Deployment, queue: str, length: int) -> Callable[[], bool]:
    return lambda: deployment.redis.llen(f"{deployment.prefix}:{queue}") == length
