"""A job that needs a tool which nobody has, or a pool that nobody serves, waits or fails, as its caller chose."""

import pytest

from ledger.catalogue import publish_tools
from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import ask, call, say
from tests.scenarios.scenario_tools import wait_for_company
from tests.scenarios.waiting import wait_until

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session"), pytest.mark.together]

LONELY = ["wait_for_company"]


async def test_calls_wait_for_a_worker_of_their_pool(deployment: Deployment) -> None:
    await deployment.run("orchestrator")
    _half_an_hour_ago(deployment)
    job = await deployment.submit(
        model=deployment.endpoint.script(ask(call("wait_for_company")), say("good")), tools=LONELY
    )
    await wait_until(lambda: deployment.redis.llen(f"{deployment.prefix}:lonely") == 1, "the call in its queue")
    await deployment.run("workers", pool="lonely")
    assert (await deployment.result(job)).answer == "good"


async def test_a_call_that_may_not_wait_fails_and_names_the_pool(deployment: Deployment) -> None:
    await deployment.run("orchestrator")
    _half_an_hour_ago(deployment)
    model = deployment.endpoint.script(ask(call("wait_for_company")), say("so be it"))
    job = await deployment.completed(model=model, tools=LONELY, if_no_worker="fail")
    [(kind, content)] = await deployment.outcomes(job)
    assert kind == "failed"
    assert "The pool 'lonely' of wait_for_company has no living worker" in content


async def test_a_pattern_offers_only_tools_that_live(deployment: Deployment) -> None:
    await deployment.run("orchestrator")
    _half_an_hour_ago(deployment)
    model = deployment.endpoint.script(say("alone"))
    await deployment.completed(model=model)
    assert deployment.endpoint.requests(model)[0].offered == []


async def test_a_job_waits_for_a_tool_that_nobody_has_published(deployment: Deployment) -> None:
    await deployment.run("orchestrator")
    model = deployment.endpoint.script(ask(call("wait_for_company")), say("good"))
    job = await deployment.submit(model=model, tools=LONELY)
    waited = f"{deployment.prefix}:orchestrator:schedule"
    await wait_until(lambda: deployment.redis.zcard(waited) == 2, "the turn in the schedule")
    await deployment.run("workers", pool="lonely")
    result = await deployment.result(job)
    assert (result.answer, result.turns) == ("good", 2)
    assert len(deployment.endpoint.requests(model)) == 2


async def test_a_job_that_may_not_wait_for_a_tool_fails_and_names_it(deployment: Deployment) -> None:
    await deployment.run("orchestrator")
    result = await deployment.finish(model="any", tools=["unheard_of@1.*", *LONELY], if_no_worker="fail")
    assert result.error is not None
    assert result.error.code == "no_worker"
    assert "unheard_of@1.*, wait_for_company" in result.error.message


async def test_a_job_that_waits_for_a_tool_can_be_cancelled_and_expires(deployment: Deployment) -> None:
    await deployment.run("orchestrator")
    cancelled = await deployment.submit(model="any", tools=["unheard_of"])
    expiring = await deployment.submit(model="any", tools=["unheard_of"], timeout_ms=600)
    await deployment.client.cancel(cancelled.job_id)
    assert (await deployment.result(cancelled)).state == "cancelled"
    assert (await deployment.result(expiring)).state == "expired"


def _half_an_hour_ago(deployment: Deployment) -> None:
    """The lonely pool had a worker half an hour ago."""
    tool, seen = wait_for_company.specification, f"{deployment.prefix}:catalogue:seen"
    deployment.ask(publish_tools([tool]))
    deployment.redis.zincrby(seen, -30 * 60 * 1000, tool.reference)
