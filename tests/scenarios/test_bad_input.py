"""Whatever anybody puts into a queue is answered or put aside with its cause, harms nobody, and ends no process."""

from typing import Any

import pytest

from messaging.queue_commands import register
from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import ask, call, say
from tests.scenarios.messages import dead_letters, message, push, take_replies, waiting
from tests.scenarios.waiting import wait_until
from trunkline import JobResult

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]

NO_JOB = "job_a_" + "0" * 26
TURN = {"schema_version": 1, "job_id": NO_JOB, "turn": 1}
CALL = {**TURN, "index": 0}


async def _still_works(calm: Deployment) -> JobResult:
    model = calm.endpoint.script(
        ask(call("look", text="x"), call("count", numbers=[1]), call("pay", amount=1)), say(".")
    )
    return await calm.completed(model=model)


MALFORMED: list[bytes | dict[str, Any]] = [
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b'"text"',
    b"{}",
    b"[" * 10_000,
    message("q", "take_turn", {}, options=[]),
    {**message("q", "take_turn", {}), "kwargs": []},
    message("q", "take_turn", {}, args={"a": 1}),
    message("q", "take_turn", {}, message_timestamp="yesterday"),
    message("q", "take_turn", {}, options={"enqueued_us": "now"}),
    message("q", "no_such_actor", {}),
    message("q", "", {}),
    {**message("q", "take_turn", {}), "actor_name": ["a"]},
    {**message("q", "take_turn", {}), "message_id": {"a": 1}},
    {**message("q", "take_turn", {}), "message_timestamp": 1e400},
]


UNKNOWN_ACTORS = {"alpha": 3, "orchestrator": 2, "intake": 2}


@pytest.mark.parametrize("queue", UNKNOWN_ACTORS)
async def test_what_is_no_message_is_a_dead_letter(calm: Deployment, queue: str) -> None:
    ids = [push(calm, queue, body) for body in MALFORMED]
    await wait_until(lambda: dead_letters(calm, queue).keys() >= set(ids), "the dead letters")
    causes = dead_letters(calm, queue)
    reasons = [causes[id]["reason"] for id in ids]
    assert set(reasons) <= {"undecodable", "unreadable", "unknown actor"}
    assert reasons.count("unknown actor") == UNKNOWN_ACTORS[queue]
    assert all(causes[id]["error"] for id in ids)
    await _still_works(calm)


FORGED: list[tuple[str, str, dict[str, Any], bool]] = [
    ("alpha", "perform_tool_call", CALL, False),
    ("alpha", "perform_tool_call", {**CALL, "index": -1}, True),
    ("alpha", "perform_tool_call", {**CALL, "job_id": "../../etc/passwd"}, True),
    ("alpha", "perform_tool_call", {**CALL, "tool": "pay"}, True),
    ("alpha", "perform_tool_call", {**CALL, "turn": "1; DROP"}, True),
    ("alpha", "perform_tool_call", {**CALL, "turn": 10**30}, False),
    ("alpha", "perform_tool_call", {}, True),
    ("alpha", "take_turn", TURN, True),
    ("orchestrator", "take_turn", TURN, False),
    ("orchestrator", "take_turn", {**TURN, "turn": 0}, True),
    ("orchestrator", "take_turn", {**TURN, "schema_version": "one"}, True),
    ("orchestrator", "expire_job", {"schema_version": 1, "job_id": NO_JOB}, False),
    ("orchestrator", "expire_job", {"schema_version": 1, "job_id": ["a"]}, True),
    ("orchestrator", "answer_dead_letter", {"queue": "a", "message_id": f"{NO_JOB}/1/0~1", "cause": {}}, False),
    ("orchestrator", "answer_dead_letter", {"queue": "a", "message_id": f"{NO_JOB}/1~1", "cause": {}}, False),
    ("orchestrator", "answer_dead_letter", {"queue": "a"}, True),
    ("orchestrator", "perform_tool_call", CALL, True),
]


@pytest.mark.parametrize(("queue", "actor", "kwargs", "dies"), FORGED)
async def test_a_forged_message_is_harmless(
    calm: Deployment, queue: str, actor: str, kwargs: dict[str, Any], dies: bool
) -> None:
    id = push(calm, queue, message(queue, actor, kwargs))
    await wait_until(lambda: not calm.redis.hexists(f"{calm.prefix}:{queue}.msgs", id), "its end")
    assert (id in dead_letters(calm, queue)) == dies


async def test_a_forged_message_cannot_have_a_call_performed_elsewhere_or_again(calm: Deployment) -> None:
    model = calm.endpoint.script(ask(call("pay", amount=1), call("nap", seconds=1)), say("done"))
    job = await calm.submit(model=model)
    await calm.noted("begin", job)
    for queue in ("alpha", "beta", "gamma", "delta"):
        for index in (0, 1, 2):
            for turn in (1, 2):
                kwargs = {"schema_version": 1, "job_id": job.job_id, "turn": turn, "index": index}
                push(calm, queue, message(queue, "perform_tool_call", kwargs))
    for turn in (1, 2, 3):
        kwargs = {"schema_version": 1, "job_id": job.job_id, "turn": turn}
        push(calm, "orchestrator", message("orchestrator", "take_turn", kwargs))
    push(calm, "orchestrator", message("orchestrator", "expire_job", {"schema_version": 1, "job_id": job.job_id}))
    assert (await calm.result(job)).state == "completed"
    assert sorted(note.what for note in calm.notes(job)) == ["begin", "done", "done"]
    assert len(calm.endpoint.requests(model)) == 2
    # The early expiry message waits for the deadline; nobody needs it any more.
    calm.redis.delete(f"{calm.prefix}:orchestrator:schedule", f"{calm.prefix}:orchestrator:schedule.msgs")


JOB = {"messages": [{"role": "user", "content": "go"}], "reply_to": {"queue": "reply.bad", "actor": "on_answer"}}
BAD_JOBS: list[tuple[dict[str, Any], str, str]] = [
    ({"job": {**JOB, "limits": {"turns": -1}}}, "invalid", "limits.turns: "),
    ({"job": {**JOB, "messages": []}}, "invalid", "messages: "),
    ({"job": {**JOB, "schema_version": 99}}, "invalid", "schema_version: "),
    ({**JOB, "color": "red"}, "invalid", "color: "),
    ({"job": {**JOB, "timeout_ms": 10**12}}, "timeout_too_long", "timeout_ms: "),
    ({"job": {**JOB, "messages": [{"role": "user", "content": "x" * 2_000_001}]}}, "too_large", "messages: "),
    ({"job": {**JOB, "conversation_id": "conv_a_" + "0" * 26}}, "unknown_conversation", "conversation_id: "),
]


@pytest.mark.parametrize(("kwargs", "code", "words"), BAD_JOBS)
async def test_a_job_that_does_not_fit_is_refused_with_a_reason_and_an_answer(
    calm: Deployment, kwargs: dict[str, Any], code: str, words: str
) -> None:
    id = push(calm, "intake", message("intake", "accept_job", kwargs, id="what its sender calls it"))
    await wait_until(lambda: id in dead_letters(calm, "intake"), "the refusal")
    cause = dead_letters(calm, "intake")[id]
    assert cause["reason"] == code
    assert words in cause["error"]
    [reply] = take_replies(calm, "reply.bad")
    assert (reply["queue_name"], reply["actor_name"]) == ("reply.bad", "on_answer")
    assert reply["kwargs"]["refused"] == {
        "message_id": "what its sender calls it",
        "error": {"code": code, "message": cause["error"]},
    }


@pytest.mark.parametrize("kwargs", [{}, {"job": None}, {"job": 7}, {"job": [1]}, {"job": {**JOB, "reply_to": "alpha"}}])
async def test_a_job_that_is_none_is_refused(calm: Deployment, kwargs: dict[str, Any]) -> None:
    id = push(calm, "intake", message("intake", "accept_job", kwargs))
    await wait_until(lambda: id in dead_letters(calm, "intake"), "the refusal")
    assert dead_letters(calm, "intake")[id]["reason"] == "invalid"


async def test_a_call_whose_message_nobody_can_read_is_answered(deployment: Deployment) -> None:
    await deployment.run("orchestrator")
    worker = await deployment.run("workers", pool="delta")
    await worker.kill()
    model = deployment.endpoint.script(ask(call("quick"), call("quick"), call("quick")), say("so be it"))
    job = await deployment.submit(model=model)
    queue = f"{deployment.prefix}:delta"
    await wait_until(lambda: deployment.redis.llen(queue) == 3, "the calls in their queue")
    future, broken, _ = waiting(deployment, "delta")
    body: Any = deployment.redis.hget(f"{queue}.msgs", future)
    deployment.redis.hset(f"{queue}.msgs", future, body.replace(b'"schema_version":1', b'"schema_version":99'))
    deployment.redis.hset(f"{queue}.msgs", broken, b"{")
    await deployment.run("workers", pool="delta")
    assert (await deployment.result(job)).answer == "so be it"
    outcomes = await deployment.outcomes(job)
    assert [kind for kind, _ in outcomes] == ["failed", "failed", "succeeded"]
    assert "schema_version" in outcomes[0][1]
    causes = dead_letters(deployment, "delta")
    assert [causes[id]["reason"] for id in (future, broken)] == ["unreadable", "undecodable"]


async def test_a_message_of_a_newer_version_is_left_for_those_who_read_it_while_they_live(
    deployment: Deployment,
) -> None:
    worker = await deployment.run("workers", pool="delta")
    deployment.ask(register("newer", {"reads": 99, "queues": ["delta"]}, ["delta"]))
    id = push(deployment, "delta", message("delta", "perform_tool_call", {**CALL, "schema_version": 99}))
    schedule = f"{deployment.prefix}:delta:schedule"
    await wait_until(lambda: deployment.redis.zscore(schedule, id) is not None, "its place in the schedule")
    assert dead_letters(deployment, "delta") == {}
    # The newer process never says again that it lives.
    await wait_until(lambda: id in dead_letters(deployment, "delta"), "that nobody reads it any more")
    assert dead_letters(deployment, "delta")[id]["reason"] == "unreadable"
    assert "left a message for newer processes" in worker.log.read_text()
    await deployment.run("orchestrator")


async def test_a_turn_whose_message_nobody_can_read_ends_its_job(deployment: Deployment) -> None:
    job = await deployment.submit(model="any")
    queue = f"{deployment.prefix}:orchestrator"
    [id] = waiting(deployment, "orchestrator")
    body: Any = deployment.redis.hget(f"{queue}.msgs", id)
    deployment.redis.hset(f"{queue}.msgs", id, body.replace(b'"schema_version":1', b'"schema_version":99'))
    await deployment.run("orchestrator")
    result = await deployment.result(job)
    assert result.error is not None
    assert result.error.code == "undeliverable"
    assert "schema_version" in result.error.message
    assert dead_letters(deployment, "orchestrator")[id]["reason"] == "unreadable"
