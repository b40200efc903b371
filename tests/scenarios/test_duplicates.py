"""Every message of a job is delivered twice, and three times, and nothing happens more than once."""

from collections import Counter

import pytest

from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import ask, at_first, call, refuse, say
from tests.scenarios.messages import message, push, take_replies
from tests.scenarios.waiting import all_of, wait_until

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session"), pytest.mark.together]

JOBS = 6


@pytest.mark.parametrize("copies", [2, 3])
async def test_messages_that_come_several_times_do_everything_once(deployment: Deployment, copies: int) -> None:
    await deployment.serving(
        deployment.start("orchestrator", copies=copies),
        *[
            deployment.start("workers", pool=pool, copies=copies)
            for pool in ("alpha,beta", "gamma,delta", "gamma,delta")
        ],
    )
    reply_to = {"queue": "reply.scenario", "actor": "on_answer"}
    model = deployment.endpoint.script(
        ask(*[call("pay", amount=amount) for amount in range(3)], call("count", numbers=[1, 2]), call("third_time")),
        at_first(1, refuse(503, "busy"), ask(call("pay", amount=9), call("stumble", kind="failed"), call("nobody"))),
        say("paid"),
    )
    for number in range(JOBS):
        text = f"job {number}"
        job = {"messages": [{"role": "user", "content": text}], "model": model, "reply_to": reply_to}
        body = message("intake", "accept_job", {"job": job})
        for _ in range(copies):
            push(deployment, "intake", body)
    index = f"{deployment.prefix}:jobs"
    await wait_until(lambda: deployment.redis.zcard(index) == JOBS, "the jobs")
    jobs = await all_of(deployment.result(job.job_id) for job in await deployment.client.list())
    await deployment.keeps_its_promises()
    assert [job.state for job in jobs] == ["completed"] * JOBS
    for job in jobs:
        paid = [note.key for note in deployment.notes(job, what="done") if "/1/3" not in note.call]
        assert len(paid) == len(set(paid)) == 4
        kinds = [kind for kind, _ in await deployment.outcomes(job)]
        assert kinds == ["succeeded"] * 6 + ["failed", "rejected"]
        assert [one.attempts for one in await deployment.calls(job)][:5] == [1, 1, 1, 1, 3]
    answers = [reply["kwargs"]["result"]["job_id"] for reply in take_replies(deployment, "reply.scenario")]
    assert len(answers) == len(set(answers)) == JOBS
    assert len(deployment.endpoint.requests(model)) == JOBS * 4
    assert deployment.counters()["duplicate_deliveries"] > 0
    assert await deployment.client.list(limit=100) == await deployment.client.list(limit=JOBS)


async def test_a_worker_that_is_killed_among_copies_changes_nothing(deployment: Deployment) -> None:
    pools = ("reading", "repeating", "paying")
    workers = [deployment.start("workers", pool=pool, copies=2) for pool in pools]
    await deployment.serving(deployment.start("orchestrator", copies=2), *workers)
    calls = ask(call("read_and_die"), call("repeat_and_die"), call("pay_and_die"))
    job = await deployment.submit(model=deployment.endpoint.script(calls, say("so be it")))
    await all_of(worker.was_killed() for worker in workers)
    for pool in pools:
        deployment.start("workers", pool=pool, copies=2)
    assert (await deployment.result(job)).answer == "so be it"
    assert [kind for kind, _ in await deployment.outcomes(job)] == ["succeeded", "succeeded", "unknown"]
    begun = Counter(note.call[-1] for note in deployment.notes(job, what="begin"))
    assert begun == {"0": 2, "1": 2, "2": 1}


async def test_messages_of_a_job_that_has_ended_do_nothing(deployment: Deployment) -> None:
    await deployment.serving(
        deployment.start("orchestrator"), *[deployment.start("workers", pool="gamma") for _ in range(2)]
    )
    model = deployment.endpoint.script(ask(call("pay", amount=1)), say("paid"))
    job = await deployment.completed(model=model)
    events = [event async for event in deployment.client.events(job.job_id)]
    envelope = {"schema_version": 1, "job_id": job.job_id}
    for turn in (1, 2, 3):
        push(deployment, "orchestrator", message("orchestrator", "take_turn", {**envelope, "turn": turn}))
        push(deployment, "gamma", message("gamma", "perform_tool_call", {**envelope, "turn": turn, "index": 0}))
    push(deployment, "orchestrator", message("orchestrator", "expire_job", envelope))
    notice = {"queue": "gamma", "message_id": f"{job.job_id}/1/0~7", "cause": {"reason": "crashed", "error": "x"}}
    push(deployment, "orchestrator", message("orchestrator", "answer_dead_letter", notice))
    push(
        deployment,
        "orchestrator",
        message("orchestrator", "answer_dead_letter", {**notice, "message_id": f"{job.job_id}/1~7"}),
    )
    await deployment.keeps_its_promises()
    assert await deployment.client.get(job.job_id) == job
    assert [event async for event in deployment.client.events(job.job_id)] == events
    assert len(deployment.notes()) == 1
    assert len(deployment.endpoint.requests(model)) == 2
