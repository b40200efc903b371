"""How jobs come into the ledger, end, and are found again; one example at a time."""

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from ledger import job_end, reading, turn_steps
from ledger.accepting import AcceptanceRules, Accepted, NoLongerOurs, Refused, idempotency_digest
from ledger.job_end import Ended, NotEnded
from ledger.refusals import refuse_job
from messaging import queue_commands
from schemas.chat_job import ReplyAddress
from schemas.job_result import JobError
from schemas.tool import Effect
from tests.promises import assert_promises
from tests.simulated_steps import (
    open_call,
    turn_of,
)
from tests.simulation import INTAKE, NAMESPACE, ORCHESTRATOR, Simulation
from tests.snapshot import FOR_EVER, Snapshot

REPLY_TO = {"queue": "reply.upstream", "actor": "hear"}


@pytest.fixture
def simulation(redis_url: str) -> Iterator[Simulation]:
    """A deployment on an empty Redis, which keeps its promises also after the test."""
    with redis.Redis.from_url(redis_url) as client:
        simulation = Simulation(client)
        yield simulation
        assert_promises(client, quiescent=False, repaired=simulation.counter("repaired"))


# accept_job


def test_an_accepted_job_has_everything_that_will_move_it(simulation: Simulation) -> None:
    job = simulation.accept("hello", timeout_ms=60_000)
    record = simulation.record(job.job_id)
    assert (record["state"], record["phase"], record["turn"]) == ("running", "queued", "1")
    assert simulation.waiting() == [record["turn_message"]]
    assert simulation.scheduled() == [record["expiry_message"]]
    assert int(record["deadline_ms"]) - int(record["accepted_us"]) // 1000 == 60_000
    assert simulation.messages(job.conversation_id) == [{"role": "user", "content": "hello"}]
    assert simulation.events(job.job_id) == [
        {"type": "job_accepted", "conversation_id": job.conversation_id, "waiting": False}
    ]


def test_the_same_job_under_the_same_key_is_one_job(simulation: Simulation) -> None:
    job = simulation.accept("hello", key="k")
    before = simulation.content()
    assert simulation.submit("hello", key="k") == Accepted(job.job_id, job.conversation_id, was_known=True)
    assert simulation.content() == before


def test_the_order_of_roles_and_permissions_is_no_difference_between_jobs(simulation: Simulation) -> None:
    # Sets have no order, but their JSON has one, and another process has another one.
    names = (f"role{number}" for number in itertools.count())
    one, other = next(
        pair for pair in itertools.combinations(itertools.islice(names, 100), 2) if _order_depends_on_history(*pair)
    )
    caller, same = ({"roles": roles, "permissions": roles} for roles in ([one, other], [other, one]))
    job = simulation.accept(key="k", caller=caller)
    again = simulation.submit(key="k", caller=same)
    assert again == Accepted(job.job_id, job.conversation_id, was_known=True)


def _order_depends_on_history(one: str, other: str) -> bool:
    return list(frozenset([one, other])) != list(frozenset([other, one]))


def test_another_job_under_the_same_key_is_refused_and_told_of_the_first(simulation: Simulation) -> None:
    job = simulation.accept("hello", key="k")
    before = simulation.content()
    refused = simulation.submit("something else", key="k")
    assert isinstance(refused, Refused)
    assert refused.code == "idempotency_conflict"
    assert job.job_id in refused.reason
    assert simulation.content() == before


def test_an_idempotency_key_belongs_to_its_tenant(simulation: Simulation) -> None:
    first = simulation.accept(key="k", caller={"tenant": "acme"})
    second = simulation.accept(key="k", caller={"tenant": "other"})
    assert first.job_id != second.job_id


def test_an_idempotency_key_is_kept_as_long_as_its_job(simulation: Simulation) -> None:
    job = simulation.accept(key="k")
    key = f"idempotency:{idempotency_digest('default', 'k')}"
    assert simulation.redis.ttl(simulation.key(key)) == FOR_EVER
    simulation.drain()
    assert simulation.ttl_of(key) <= simulation.rules.job_retention
    simulation.let_time_pass(simulation.rules.job_retention)
    assert simulation.accept("something else", key="k").job_id != job.job_id


def test_a_job_leaves_nothing_behind_but_its_conversation_when_its_retention_is_over(simulation: Simulation) -> None:
    job, worker = simulation.accept_with_call()
    assert simulation.answer(simulation.begin_call(worker), "short", stored_result="a long result")
    simulation.drain()
    simulation.let_time_pass(simulation.rules.job_retention + timedelta(hours=1))  # a result outlives the deadline
    assert [name for name in Snapshot.take(simulation.redis, NAMESPACE).keys if job.job_id in name] == []
    assert simulation.run(reading.read_job(job.job_id)) is None
    assert simulation.messages(job.conversation_id)
    simulation.let_time_pass(simulation.rules.conversation_retention)
    assert not simulation.messages(job.conversation_id)


def test_a_job_that_comes_as_a_message_is_accepted_once_however_often_it_is_delivered(simulation: Simulation) -> None:
    simulation.send_job()
    worker = simulation.hire()
    first = simulation.must_fetch(worker, INTAKE)
    copies = [simulation.deliver_again(first) for _ in range(2)]
    accepted = simulation.take_in(first)
    assert isinstance(accepted, Accepted)
    assert not simulation.owns(first)
    for _ in copies:
        again = simulation.take_in(simulation.must_fetch(worker, INTAKE))
        assert again == Accepted(accepted.job_id, accepted.conversation_id, was_known=True)
    assert simulation.redis.zcard(simulation.key("jobs")) == 1


def test_an_intake_that_lost_its_message_accepts_nothing(simulation: Simulation) -> None:
    simulation.send_job()
    worker = simulation.hire()
    lost = simulation.must_fetch(worker, INTAKE)
    simulation.crash(worker)
    before = simulation.content()
    assert simulation.take_in(lost) == NoLongerOurs()
    assert simulation.content() == before
    assert isinstance(simulation.take_in(simulation.must_fetch(simulation.hire(), INTAKE)), Accepted)


@pytest.mark.parametrize("tenant", ["other", "default"])
def test_a_conversation_that_does_not_exist_or_is_anothers_is_unknown(simulation: Simulation, tenant: str) -> None:
    job = simulation.accept(caller={"tenant": "acme"})
    of_nobody = job.conversation_id[:-4] + "0000"
    for conversation in (job.conversation_id, of_nobody):
        refused = simulation.submit(conversation_id=conversation, caller={"tenant": tenant})
        assert isinstance(refused, Refused)
        assert refused.code == "unknown_conversation"


def test_a_job_for_a_busy_conversation_waits_or_is_refused_as_it_wishes(simulation: Simulation) -> None:
    first = simulation.accept()
    refused = simulation.submit(conversation_id=first.conversation_id, if_busy="refuse")
    assert isinstance(refused, Refused)
    assert refused.code == "conversation_busy"
    assert first.job_id in refused.reason
    second = simulation.accept("and then?", conversation_id=first.conversation_id)
    assert simulation.state(second.job_id) == "waiting"
    assert simulation.events(second.job_id)[0]["waiting"] is True
    assert len(simulation.messages(first.conversation_id)) == 1  # its message comes when its time has come


def test_only_so_many_jobs_may_wait_for_a_conversation(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        simulation = Simulation(client, AcceptanceRules(waiting_jobs=1))
        first = simulation.accept()
        simulation.accept(conversation_id=first.conversation_id)
        refused = simulation.submit(conversation_id=first.conversation_id)
        assert isinstance(refused, Refused)
        assert refused.code == "conversation_busy"


def test_a_conversation_does_not_expire_while_a_job_is_on_it(simulation: Simulation) -> None:
    first = simulation.accept()
    simulation.drain()
    name = f"conversation:{first.conversation_id}"
    assert simulation.ttl_of(f"{name}:messages") > timedelta(days=6)
    simulation.accept("and then?", conversation_id=first.conversation_id)
    assert simulation.redis.ttl(simulation.key(name)) == FOR_EVER
    assert simulation.redis.ttl(simulation.key(f"{name}:messages")) == FOR_EVER


# refuse_job


def test_a_refused_job_is_a_dead_letter_and_its_sender_is_told(simulation: Simulation) -> None:
    simulation.send_job()
    delivery = simulation.must_fetch(simulation.hire(), INTAKE)
    refusal = Refused("invalid", "messages: there is none")
    reply_to = ReplyAddress.model_validate(REPLY_TO)
    assert simulation.run(refuse_job(delivery, refusal, reply_to)) is True
    assert simulation.dead(INTAKE) == {delivery.id: {"reason": "invalid", "error": "messages: there is none"}}
    reply = simulation.must_fetch(simulation.hire("reply.upstream"), "reply.upstream")
    assert json.loads(reply.body)["kwargs"] == {
        "refused": {
            "message_id": delivery.id,
            "error": {"code": "invalid", "message": "messages: there is none"},
        }
    }
    assert simulation.run(refuse_job(delivery, refusal, reply_to)) is False
    assert simulation.waiting("reply.upstream") == []
    assert simulation.counter("jobs_refused") == 1


# end_job


@pytest.mark.parametrize(
    ("effect", "claimed", "outcome"),
    [
        ("read", False, "cancelled"),
        ("unsafe", False, "cancelled"),
        ("read", True, "cancelled"),
        ("idempotent", True, "cancelled"),
        ("unsafe", True, "unknown"),
    ],
)
def test_a_cancel_answers_open_calls_as_far_as_anybody_knows(
    simulation: Simulation, effect: Effect, claimed: bool, outcome: str
) -> None:
    job, worker = simulation.accept_with_call(effect)
    if claimed:
        simulation.begin_call(worker)
    assert simulation.run(job_end.cancel_job(job.job_id, reason="enough")) == Ended("cancelled")
    assert simulation.call(job.job_id)["outcome"] == outcome
    last = simulation.messages(job.conversation_id)[-1]
    assert last["role"] == "tool"
    assert "enough" in last["content"]
    assert ("not known" in last["content"]) == (outcome == "unknown")
    simulation.run(queue_commands.leave(worker, died=False))
    simulation.drain()
    assert_promises(simulation.redis)


def test_a_cancel_tells_the_workers_of_running_calls(simulation: Simulation) -> None:
    job, turn_worker, call_worker = simulation.accept(), simulation.hire(), simulation.hire()
    simulation.fan_out(simulation.begin_turn(turn_worker), [open_call("a"), open_call("b"), open_call("c")])
    running = [simulation.begin_call(call_worker) for _ in range(2)]
    simulation.run(job_end.cancel_job(job.job_id, reason="enough"))
    idle, busy = simulation.beat(turn_worker, call_worker).workers
    assert idle.told == []
    assert busy.told == [delivery.id for delivery in running]
    assert simulation.beat(call_worker).workers[0].told == []


def test_a_cancel_tells_the_worker_of_a_running_model_call(simulation: Simulation) -> None:
    job, worker = simulation.accept(), simulation.hire()
    delivery = simulation.begin_turn(worker)
    simulation.run(job_end.cancel_job(job.job_id, reason="enough"))
    assert simulation.beat(worker).workers[0].told == [delivery.id]
    assert simulation.finish(delivery) is False
    assert not simulation.owns(delivery)


def test_a_job_is_ended_once_and_by_its_tenant(simulation: Simulation) -> None:
    job = simulation.accept(reply_to=REPLY_TO, caller={"tenant": "acme"})
    other = job_end.cancel_job(job.job_id, reason="enough", tenant="other")
    assert simulation.changes_nothing(other) == NotEnded("unknown")
    assert simulation.changes_nothing(job_end.cancel_job(job.job_id[:-4] + "0000", reason="?")) == NotEnded("unknown")
    own = job_end.cancel_job(job.job_id, reason="enough", tenant="acme")
    assert simulation.run(own) == Ended("cancelled")
    assert simulation.changes_nothing(own) == NotEnded("already", "cancelled")


def test_an_expiry_message_ends_the_job_only_when_its_deadline_has_passed(simulation: Simulation) -> None:
    job, worker = simulation.accept(timeout_ms=60_000), simulation.hire()
    simulation.must_fetch(worker)  # the turn, which hangs
    expiry = simulation.record(job.job_id)["expiry_message"]
    simulation.redis.zadd(simulation.key(f"{ORCHESTRATOR}:schedule"), {expiry: 0})
    simulation.beat(worker)
    early = simulation.must_fetch(worker)
    assert simulation.run(job_end.expire_job(early, job.job_id)) == NotEnded("early")
    assert simulation.scheduled() == [expiry]
    simulation.let_time_pass(timedelta(minutes=1))
    simulation.beat(worker)
    due = simulation.must_fetch(worker)
    assert simulation.run(job_end.expire_job(due, job.job_id)) == Ended("expired")
    assert not simulation.owns(due)
    assert simulation.run(job_end.expire_job(due, job.job_id)) == NotEnded("stale")
    error = simulation.result(job.job_id).error
    assert error is not None
    assert error.code == "deadline"


def test_a_dead_letter_of_a_turn_fails_the_job_only_while_the_turn_is_taken(simulation: Simulation) -> None:
    job, worker = simulation.accept_with_call()
    error = JobError(code="undeliverable", message="it could not be read")
    for turn in (1, 2):  # the one whose calls run, and one that has not come yet
        late = job_end.fail_turn(job.job_id, turn=turn, error=error)
        assert simulation.changes_nothing(late) == NotEnded("already", "running")
    simulation.answer(simulation.begin_call(worker))
    assert simulation.run(job_end.fail_turn(job.job_id, turn=2, error=error)) == Ended("failed")
    assert simulation.result(job.job_id).error == error


def test_a_waiting_job_can_be_cancelled_without_disturbing_the_one_that_runs(simulation: Simulation) -> None:
    first = simulation.accept()
    second = simulation.accept("two", conversation_id=first.conversation_id)
    third = simulation.accept("three", conversation_id=first.conversation_id)
    assert simulation.run(job_end.cancel_job(second.job_id, reason="enough")) == Ended("cancelled")
    assert simulation.state(first.job_id) == "running"
    simulation.drain()
    assert [simulation.state(job.job_id) for job in (first, third)] == ["completed", "completed"]
    assert [m["content"] for m in simulation.messages(first.conversation_id)] == ["hello", "done", "three", "done"]
    assert_promises(simulation.redis)


@pytest.mark.parametrize("how", ["completed", "failed", "cancelled", "expired"])
def test_the_next_job_of_a_conversation_starts_when_the_running_one_has_ended(simulation: Simulation, how: str) -> None:
    first = simulation.accept(timeout_ms=60_000)
    second = simulation.accept("and then?", conversation_id=first.conversation_id)
    delivery = simulation.begin_turn(simulation.hire())
    job_id, turn = turn_of(delivery)
    match how:
        case "completed":
            simulation.finish(delivery)
        case "failed":
            error = JobError(code="model_error", message="no")
            command = turn_steps.finish_job(delivery, job_id=job_id, turn=turn, state="failed", error=error)
            simulation.run(command)
        case "cancelled":
            simulation.run(job_end.cancel_job(job_id, reason="enough"))
        case _:
            simulation.let_time_pass(timedelta(minutes=1))
            simulation.run(job_end.expire_job(None, job_id))
    assert simulation.state(first.job_id) == how
    assert simulation.state(second.job_id) == "running"
    assert [event["type"] for event in simulation.events(second.job_id)] == ["job_accepted", "job_started"]
    assert simulation.messages(first.conversation_id)[-1]["content"] == "and then?"


# list_jobs


def test_jobs_are_listed_newest_first_by_state_and_tenant(simulation: Simulation) -> None:
    jobs = [simulation.accept(caller={"tenant": tenant}).job_id for tenant in ("acme", "other", "acme")]
    simulation.run(job_end.cancel_job(jobs[2], reason="enough"))

    def listed(**what: Any) -> list[str]:
        return [result.job_id for result in simulation.run(reading.list_jobs(**what))]

    assert sorted(listed()) == sorted(jobs)
    assert set(listed(tenant="acme")) == {jobs[0], jobs[2]}
    assert listed(tenant="acme", state="running") == [jobs[0]]
    assert listed(state="cancelled") == [jobs[2]]
    assert len(listed(limit=2)) == 2
    assert listed(since=datetime.now(UTC) + timedelta(hours=1)) == []


def test_pages_of_jobs_follow_each_other(simulation: Simulation) -> None:
    jobs = [simulation.accept().job_id for _ in range(5)]
    for place, job_id in enumerate(jobs):
        simulation.redis.zadd(simulation.key("jobs"), {job_id: place})
    pages = [reading.list_jobs(limit=2, before_ms=before) for before in (None, 3, 1)]
    assert [[result.job_id for result in simulation.run(page)] for page in pages] == [
        [jobs[4], jobs[3]],
        [jobs[2], jobs[1]],
        [jobs[0]],
    ]


def test_expired_jobs_leave_the_list_when_they_are_met(simulation: Simulation) -> None:
    simulation.accept()
    simulation.drain()
    simulation.let_time_pass(simulation.rules.job_retention)
    assert simulation.run(reading.list_jobs()) == []
    assert simulation.redis.zcard(simulation.key("jobs")) == 0
