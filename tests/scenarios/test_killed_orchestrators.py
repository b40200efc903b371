"""An orchestrator is killed with SIGKILL, or an answer of Redis gets lost, at each step of a job."""

import time
from typing import Final

import pytest

from tests.scenarios.deployment import RECOVERY, Deployment
from tests.scenarios.endpoint import ask, at_first, call, refuse, say
from tests.scenarios.messages import dead_letters, message, push, take_replies
from tests.scenarios.waiting import wait_until

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session"), pytest.mark.together]

#: Where the process dies, how often the model is asked then, and how often the turn is begun.
PLACES: Final = [
    ("before", "claim_turn", 2),
    ("after", "claim_turn", 2),
    ("before", "fan_out", 3),
    ("after", "fan_out", 2),
    ("before", "finish_job", 3),
    ("after", "finish_job", 2),
]


@pytest.mark.parametrize(("when", "script", "asked"), PLACES)
async def test_a_job_survives_its_orchestrator(deployment: Deployment, when: str, script: str, asked: int) -> None:
    fault = deployment.fault(when, script)
    doomed = deployment.start("orchestrator", faults=[fault])
    await deployment.serving(doomed, deployment.start("workers", pool="gamma,delta"))
    model = deployment.endpoint.script(ask(call("pay", amount=1), call("pay", amount=2), call("quick")), say("done"))
    job = await deployment.submit(model=model)
    await doomed.was_killed()
    assert fault.has_hit
    await deployment.run("orchestrator")
    serving_at = time.monotonic()
    result = await deployment.result(job)
    assert time.monotonic() - serving_at < RECOVERY.total_seconds()
    assert (result.state, result.answer, result.turns) == ("completed", "done", 2)
    assert len(deployment.endpoint.requests(model)) == asked
    assert len(deployment.notes(job)) == 3


async def test_a_job_that_is_killed_while_it_comes_in_comes_in_once(deployment: Deployment) -> None:
    model = deployment.endpoint.script(ask(call("pay", amount=1)), say("done"))
    job = {"messages": [{"role": "user", "content": "go"}], "model": model}
    reply_to = {"queue": "reply.scenario", "actor": "on_answer"}
    push(deployment, "intake", message("intake", "accept_job", {"job": {**job, "reply_to": reply_to}}))
    deployment.start("workers", pool="gamma")
    for when in ("before", "after"):
        doomed = deployment.start("orchestrator", faults=[deployment.fault(when, "accept_job")])
        await doomed.was_killed()
    await deployment.run("orchestrator")
    replies: list[object] = []

    def answered() -> bool:
        replies.extend(take_replies(deployment, "reply.scenario"))
        return bool(replies)

    await wait_until(answered, "the answer")
    await deployment.keeps_its_promises()
    assert len(replies) + len(take_replies(deployment, "reply.scenario")) == 1
    assert len(await deployment.client.list()) == 1
    assert len(deployment.notes()) == 1


async def test_a_turn_that_kills_its_process_every_time_ends_its_job(deployment: Deployment) -> None:
    model = deployment.endpoint.script(say("never heard"))
    job = await deployment.submit(model=model)
    for death in range(3):
        fault = deployment.fault("before", "finish_job", of=str(death))
        await deployment.start("orchestrator", faults=[fault]).was_killed()
    await deployment.run("orchestrator")
    result = await deployment.result(job)
    assert result.error is not None
    assert result.error.code == "crashed"
    assert "died 3 times" in result.error.message
    [cause] = dead_letters(deployment, "orchestrator").values()
    assert cause["reason"] == "crashed"
    assert len(deployment.endpoint.requests(model)) == 3


async def test_every_step_whose_answer_gets_lost_is_done_once(deployment: Deployment) -> None:
    of_orchestrator = ("fetch", "accept_job", "claim_turn", "retry_turn", "fan_out", "finish_job")
    of_worker = ("fetch", "claim_call", "retry_call", "record_outcome", "record_progress")
    faults = {
        role: [deployment.fault("lose", script, of=role) for script in scripts]
        for role, scripts in (("orchestrator", of_orchestrator), ("workers", of_worker))
    }
    await deployment.serving(
        deployment.start("orchestrator", faults=faults["orchestrator"]),
        deployment.start("workers", pool="alpha,gamma,delta", faults=faults["workers"]),
    )
    calls = ask(call("pay", amount=1), call("third_time"), call("walk", steps=2))
    model = deployment.endpoint.script(at_first(1, refuse(503, "busy"), calls), say("done"))
    job = {"messages": [{"role": "user", "content": "go"}], "model": model}
    push(deployment, "intake", message("intake", "accept_job", {"job": job}))
    await wait_until(lambda: deployment.redis.zcard(f"{deployment.prefix}:jobs") == 1, "the job")
    [accepted] = await deployment.client.list()
    result = await deployment.result(accepted.job_id)
    assert (result.state, result.answer, result.turns) == ("completed", "done", 2)
    await wait_until(lambda: all(fault.has_hit for role in faults.values() for fault in role), "all faults")
    assert [kind for kind, _ in await deployment.outcomes(result)] == ["succeeded"] * 3
    assert [one.attempts for one in await deployment.calls(result)] == [1, 3, 1]
    assert len(deployment.notes(what="done")) == 1
    assert len(deployment.endpoint.requests(model)) == 3
    assert all(process.alive for process in deployment.processes)
