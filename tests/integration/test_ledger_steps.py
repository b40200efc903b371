"""What each step of the ledger does, one example at a time: the first time, again, too late, and by the wrong one."""

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from ledger import call_steps, job_end, reading, turn_steps
from ledger.accepting import AcceptanceRules, Accepted, NoLongerOurs, Refused, idempotency_digest
from ledger.call_steps import CallClaimed, CallNotOurs, CallPostponed
from ledger.catalogue import ALIVE_FOR, publish_tools, read_catalogue
from ledger.job_end import Ended, NotEnded
from ledger.refusals import refuse_job
from ledger.sweeping import OVERDUE, Swept, sweep
from ledger.turn_steps import TurnClaimed, TurnNotOurs
from messaging import queue_commands
from messaging.command import Command
from messaging.delivery import Delivery
from messaging.queue_commands import MAX_CRASHES
from schemas.call import Outcome
from schemas.chat_job import ReplyAddress
from schemas.job_result import JobError
from schemas.tool import Effect
from tests.promises import assert_promises
from tests.simulation import (
    FACTS,
    INTAKE,
    NAMESPACE,
    ORCHESTRATOR,
    OTHER_POOL,
    POOL,
    UNSAFE_WAIT,
    Asked,
    Simulation,
    call_of,
    claim_call_command,
    claim_turn_command,
    fan_out_command,
    finish_command,
    open_call,
    outcome_command,
    refused_call,
    retry_call_command,
    retry_turn_command,
    tool,
    turn_of,
)
from tests.snapshot import FOR_EVER, Snapshot

REPLY_TO = {"queue": "reply.upstream", "actor": "hear"}


@pytest.fixture
def simulation(redis_url: str) -> Iterator[Simulation]:
    """A deployment on an empty Redis, which keeps its promises also after the test."""
    with redis.Redis.from_url(redis_url) as client:
        simulation = Simulation(client)
        yield simulation
        assert_promises(client, quiescent=False, repaired=simulation.counter("repaired"))


def content(simulation: Simulation) -> dict[str, object]:
    """Everything in Redis but what is counted."""
    keys = Snapshot.take(simulation.redis, NAMESPACE).keys
    return {name: key.content for name, key in keys.items() if name != "counters"}


def changes_nothing(simulation: Simulation, command: Command[Any]) -> Any:
    """The answer to a command that changes nothing but counters."""
    before = content(simulation)
    answer = simulation.run(command)
    assert content(simulation) == before
    return answer


def ttl_of(simulation: Simulation, name: str) -> timedelta:
    ttl_ms = simulation.redis.pttl(simulation.key(name))
    assert ttl_ms != FOR_EVER, f"{name} does not expire"
    return timedelta(milliseconds=ttl_ms)


def with_call(simulation: Simulation, effect: Effect = "read") -> tuple[Accepted, str]:
    """A job with one call on its way, and a worker."""
    job, worker = simulation.accept(), simulation.hire()
    assert simulation.fan_out(simulation.begin_turn(worker), [open_call(effect=effect)])
    return job, worker


def crash_often(simulation: Simulation, queue: str) -> Delivery:
    """The next message of a queue, after as many workers died with it as may."""
    for _ in range(MAX_CRASHES):
        worker = simulation.hire()
        simulation.must_fetch(worker, queue)
        assert simulation.crash(worker) == 1
    delivery = simulation.must_fetch(simulation.hire(), queue)
    assert delivery.crashes == MAX_CRASHES
    return delivery


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
    before = content(simulation)
    assert simulation.submit("hello", key="k") == Accepted(job.job_id, job.conversation_id, was_known=True)
    assert content(simulation) == before


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
    before = content(simulation)
    refused = simulation.submit("something else", key="k")
    assert isinstance(refused, Refused)
    assert refused.code == "idempotency_conflict"
    assert job.job_id in refused.reason
    assert content(simulation) == before


def test_an_idempotency_key_belongs_to_its_tenant(simulation: Simulation) -> None:
    first = simulation.accept(key="k", caller={"tenant": "acme"})
    second = simulation.accept(key="k", caller={"tenant": "other"})
    assert first.job_id != second.job_id


def test_an_idempotency_key_is_kept_as_long_as_its_job(simulation: Simulation) -> None:
    job = simulation.accept(key="k")
    key = f"idempotency:{idempotency_digest('default', 'k')}"
    assert simulation.redis.ttl(simulation.key(key)) == FOR_EVER
    simulation.drain()
    assert ttl_of(simulation, key) <= simulation.rules.job_retention
    simulation.let_time_pass(simulation.rules.job_retention)
    assert simulation.accept("something else", key="k").job_id != job.job_id


def test_a_job_leaves_nothing_behind_but_its_conversation_when_its_retention_is_over(simulation: Simulation) -> None:
    job, worker = with_call(simulation)
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
    before = content(simulation)
    assert simulation.take_in(lost) == NoLongerOurs()
    assert content(simulation) == before
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
    assert ttl_of(simulation, f"{name}:messages") > timedelta(days=6)
    simulation.accept("and then?", conversation_id=first.conversation_id)
    assert simulation.redis.ttl(simulation.key(name)) == FOR_EVER
    assert simulation.redis.ttl(simulation.key(f"{name}:messages")) == FOR_EVER


# claim_turn


def test_a_claim_of_a_turn_that_is_sent_again_gets_the_same_answer(simulation: Simulation) -> None:
    job = simulation.accept("hello")
    command = claim_turn_command(simulation.must_fetch(simulation.hire()))
    first = simulation.run(command)
    again = changes_nothing(simulation, command)
    assert isinstance(first, TurnClaimed)
    assert isinstance(again, TurnClaimed)
    assert (again.attempt, again.messages, again.terms) == (1, first.messages, first.terms)
    assert len(simulation.events(job.job_id, "turn_started")) == 1


def test_a_second_delivery_of_a_turn_is_dropped_while_the_first_is_at_work(simulation: Simulation) -> None:
    simulation.accept()
    first = simulation.begin_turn(simulation.hire())
    simulation.deliver_again(first)
    second = simulation.must_fetch(simulation.hire())
    assert simulation.claim_turn(second) == TurnNotOurs()
    assert not simulation.owns(second)
    assert simulation.counter("duplicate_deliveries") == 1
    assert simulation.finish(first)


def test_a_turn_whose_worker_was_lost_is_taken_again(simulation: Simulation) -> None:
    job = simulation.accept()
    worker = simulation.hire()
    lost = simulation.begin_turn(worker)
    simulation.crash(worker)
    second = simulation.must_fetch(simulation.hire())
    claim = simulation.claim_turn(second)
    assert isinstance(claim, TurnClaimed)
    assert claim.attempt == 2
    assert changes_nothing(simulation, finish_command(lost)) is False
    assert changes_nothing(simulation, claim_turn_command(lost)) == TurnNotOurs()
    assert simulation.counter("late_steps") == 1
    assert simulation.finish(second)
    assert [event["delivery"].get("crashes", 0) for event in simulation.events(job.job_id, "turn_started")] == [0, 1]


def test_the_message_of_a_turn_that_is_over_is_dropped(simulation: Simulation) -> None:
    _, worker = with_call(simulation)
    call = simulation.begin_call(worker)
    simulation.answer(call)
    second_turn = simulation.begin_turn(worker)
    first_turn = json.loads(second_turn.body)
    first_turn["kwargs"]["turn"] = 1
    body = json.dumps(first_turn).encode()
    simulation.run(queue_commands.enqueue([(ORCHESTRATOR, "old", body, None)]))
    delivery = simulation.must_fetch(worker)
    assert simulation.claim_turn(delivery) == TurnNotOurs()
    assert not simulation.owns(delivery)
    assert simulation.finish(second_turn)


def test_the_message_of_a_turn_of_a_job_that_has_ended_is_dropped(simulation: Simulation) -> None:
    job = simulation.accept()
    delivery = simulation.must_fetch(simulation.hire())
    simulation.run(job_end.cancel_job(job.job_id, reason="enough"))
    assert simulation.claim_turn(delivery) == TurnNotOurs()
    assert not simulation.owns(delivery)
    assert simulation.events(job.job_id, "turn_started") == []


def test_a_turn_that_killed_its_worker_too_often_fails_the_job_and_is_a_dead_letter(simulation: Simulation) -> None:
    job = simulation.accept(reply_to=REPLY_TO)
    delivery = crash_often(simulation, ORCHESTRATOR)
    assert simulation.claim_turn(delivery) == TurnNotOurs()
    result = simulation.result(job.job_id)
    assert (result.state, result.error and result.error.code) == ("failed", "crashed")
    assert simulation.dead() == {delivery.id: {"reason": "crashed", "error": f"{MAX_CRASHES} deliveries died"}}
    assert len(simulation.waiting("reply.upstream")) == 1
    assert_promises(simulation.redis)


# fan_out


def test_a_fan_out_sends_the_open_calls_and_answers_the_refused_ones(simulation: Simulation) -> None:
    job, worker = simulation.accept(), simulation.hire()
    delivery = simulation.begin_turn(worker)
    calls: list[Asked] = [
        open_call("a"),
        refused_call("b", content="no"),
        open_call("c", pool=OTHER_POOL, effect="unsafe"),
    ]
    assert simulation.fan_out(delivery, calls, content="let me see")
    assert not simulation.owns(delivery)
    assert [id.partition("~")[0] for id in simulation.waiting(POOL)] == [f"{job.job_id}/1/0"]
    assert [id.partition("~")[0] for id in simulation.waiting(OTHER_POOL)] == [f"{job.job_id}/1/2"]
    assert simulation.call(job.job_id, "1/1")["outcome"] == "rejected"
    assert simulation.messages(job.conversation_id)[-1]["content"] == "let me see"
    assert simulation.record(job.job_id)["phase"] == "calls"
    assert simulation.waiting(ORCHESTRATOR) == []
    assert simulation.result(job.job_id).usage.prompt_tokens == FACTS.prompt_tokens


def test_a_fan_out_of_nothing_but_refused_calls_goes_on_at_once(simulation: Simulation) -> None:
    job, worker = simulation.accept(), simulation.hire()
    assert simulation.fan_out(simulation.begin_turn(worker), [refused_call("a"), refused_call("b")])
    assert [id.partition("~")[0] for id in simulation.waiting()] == [f"{job.job_id}/2"]
    assert [m.get("tool_call_id") for m in simulation.messages(job.conversation_id)[-2:]] == ["a", "b"]


def test_a_fan_out_that_is_sent_again_changes_nothing(simulation: Simulation) -> None:
    simulation.accept()
    command = fan_out_command(simulation.begin_turn(simulation.hire()), [open_call()])
    assert simulation.run(command) is True
    assert changes_nothing(simulation, command) is False
    assert simulation.counter("late_steps") == 1


def test_a_fan_out_for_a_turn_that_was_not_claimed_changes_nothing_but_drops_its_message(
    simulation: Simulation,
) -> None:
    job = simulation.accept()
    delivery = simulation.must_fetch(simulation.hire())
    copy = simulation.deliver_again(delivery)
    assert simulation.fan_out(delivery, [open_call()]) is False
    assert simulation.record(job.job_id)["phase"] == "queued"
    assert simulation.waiting(POOL) == []
    assert simulation.waiting() == [copy]
    simulation.drain()
    assert simulation.state(job.job_id) == "completed"


def test_a_fan_out_with_missing_arguments_is_an_error_before_anything_is_written(simulation: Simulation) -> None:
    simulation.accept()
    delivery = simulation.begin_turn(simulation.hire())
    command = fan_out_command(delivery, [open_call()])
    before = content(simulation)
    with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
        simulation.run(Command(command.script, command.words[:-1], bool))
    assert content(simulation) == before
    assert simulation.owns(delivery)


# finish_job


def test_a_finished_job_has_its_answer_and_its_reply(simulation: Simulation) -> None:
    job = simulation.accept(reply_to=REPLY_TO, metadata={"ticket": "7"})
    delivery = simulation.begin_turn(simulation.hire())
    assert simulation.finish(delivery, "it is 42")
    result = simulation.result(job.job_id)
    assert (result.state, result.answer, result.finish_reason) == ("completed", "it is 42", "stop")
    assert simulation.messages(job.conversation_id)[-1] == {"role": "assistant", "content": "it is 42"}
    reply = simulation.must_fetch(simulation.hire("reply.upstream"), "reply.upstream")
    assert json.loads(reply.body)["kwargs"]["result"] == json.loads(result.model_dump_json())
    assert simulation.redis.zcard(simulation.key(f"{ORCHESTRATOR}:schedule")) == 0


def test_a_failed_job_keeps_the_reason_and_no_answer(simulation: Simulation) -> None:
    job = simulation.accept()
    delivery = simulation.begin_turn(simulation.hire())
    error = JobError(code="limit_turns", message="too many turns: “enough”")
    job_id, turn = turn_of(delivery)
    assert simulation.run(
        turn_steps.finish_job(delivery, job_id=job_id, turn=turn, state="failed", error=error, facts=FACTS)
    )
    result = simulation.result(job.job_id)
    assert (result.state, result.error, result.answer) == ("failed", error, None)
    assert simulation.events(job.job_id)[-1] == {
        "type": "job_ended",
        "state": "failed",
        "error": json.loads(error.model_dump_json()),
    }


def test_a_job_is_finished_once(simulation: Simulation) -> None:
    simulation.accept(reply_to=REPLY_TO)
    command = finish_command(simulation.begin_turn(simulation.hire()))
    assert simulation.run(command) is True
    assert changes_nothing(simulation, command) is False
    assert_promises(simulation.redis)


# retry_turn


def test_a_turn_that_is_tried_again_waits_in_the_schedule_and_counts_its_attempts(simulation: Simulation) -> None:
    job, worker = simulation.accept(), simulation.hire()
    delivery = simulation.begin_turn(worker)
    assert simulation.run(retry_turn_command(delivery, delay_ms=1000))
    assert simulation.fetch(worker) is None
    assert simulation.scheduled()[0] == delivery.id
    assert [event["error"] for event in simulation.events(job.job_id, "model_failed")] == ["it is down"]
    simulation.let_time_pass(timedelta(seconds=1))
    simulation.beat(worker)
    again = simulation.must_fetch(worker)
    claim = simulation.claim_turn(again)
    assert isinstance(claim, TurnClaimed)
    assert (again.id, again.crashes, claim.attempt) == (delivery.id, 0, 2)


def test_a_turn_that_only_waited_has_not_used_up_an_attempt(simulation: Simulation) -> None:
    job, worker = simulation.accept(), simulation.hire()
    assert simulation.run(retry_turn_command(simulation.begin_turn(worker), delay_ms=0, called=False))
    simulation.beat(worker)
    claim = simulation.claim_turn(simulation.must_fetch(worker))
    assert isinstance(claim, TurnClaimed)
    assert claim.attempt == 1
    assert simulation.events(job.job_id, "model_failed") == []


def test_a_retry_that_is_sent_again_or_too_late_changes_nothing(simulation: Simulation) -> None:
    simulation.accept()
    worker = simulation.hire()
    command = retry_turn_command(simulation.begin_turn(worker), delay_ms=0)
    assert simulation.run(command) is True
    assert changes_nothing(simulation, command) is False
    simulation.beat(worker)
    second = simulation.begin_turn(worker)
    assert changes_nothing(simulation, command) is False
    assert simulation.finish(second)


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
    job, worker = with_call(simulation, effect)
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
    assert changes_nothing(simulation, other) == NotEnded("unknown")
    assert changes_nothing(simulation, job_end.cancel_job(job.job_id[:-4] + "0000", reason="?")) == NotEnded("unknown")
    own = job_end.cancel_job(job.job_id, reason="enough", tenant="acme")
    assert simulation.run(own) == Ended("cancelled")
    assert changes_nothing(simulation, own) == NotEnded("already", "cancelled")


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
    job, worker = with_call(simulation)
    error = JobError(code="undeliverable", message="it could not be read")
    for turn in (1, 2):  # the one whose calls run, and one that has not come yet
        late = job_end.fail_turn(job.job_id, turn=turn, error=error)
        assert changes_nothing(simulation, late) == NotEnded("already", "running")
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


# claim_call


def test_a_claim_of_a_call_that_is_sent_again_gets_the_same_answer(simulation: Simulation) -> None:
    job, worker = with_call(simulation, "unsafe")
    command = claim_call_command(simulation.must_fetch(worker, POOL))
    first = simulation.run(command)
    again = changes_nothing(simulation, command)
    assert isinstance(first, CallClaimed)
    assert isinstance(again, CallClaimed)
    assert (again.attempt, again.tool, again.arguments) == (1, first.tool, first.arguments)
    assert len(simulation.events(job.job_id, "call_started")) == 1


def test_a_second_delivery_of_a_call_is_dropped_while_the_first_is_at_work(simulation: Simulation) -> None:
    _, worker = with_call(simulation)
    first = simulation.begin_call(worker)
    simulation.deliver_again(first)
    second = simulation.must_fetch(worker, POOL)
    assert simulation.claim_call(second) == CallNotOurs()
    assert not simulation.owns(second)
    assert simulation.counter("duplicate_deliveries") == 1
    assert simulation.answer(first)


@pytest.mark.parametrize("effect", ["read", "idempotent"])
def test_a_repeatable_call_whose_worker_was_lost_runs_again(simulation: Simulation, effect: Effect) -> None:
    job, worker = with_call(simulation, effect)
    lost = simulation.begin_call(worker)
    simulation.crash(worker)
    second = simulation.must_fetch(simulation.hire(), POOL)
    claim = simulation.claim_call(second)
    assert isinstance(claim, CallClaimed)
    assert claim.attempt == 2
    assert changes_nothing(simulation, claim_call_command(lost)) == CallNotOurs()
    assert simulation.answer(second)
    assert simulation.call(job.job_id)["attempt"] == "2"


def test_an_unsafe_call_whose_worker_was_lost_is_waited_for_and_then_unknown(simulation: Simulation) -> None:
    job, worker = with_call(simulation, "unsafe")
    simulation.begin_call(worker)
    simulation.crash(worker)
    other = simulation.hire()
    postponed = simulation.claim_call(simulation.must_fetch(other, POOL))
    assert isinstance(postponed, CallPostponed)
    assert UNSAFE_WAIT - timedelta(seconds=5) < postponed.delay <= UNSAFE_WAIT
    assert simulation.fetch(other, POOL) is None
    simulation.let_time_pass(UNSAFE_WAIT)
    simulation.beat(other)
    assert simulation.claim_call(simulation.must_fetch(other, POOL)) == CallNotOurs()
    assert simulation.call(job.job_id)["outcome"] == "unknown"
    assert len(simulation.events(job.job_id, "call_started")) == 1
    assert "do not repeat" in simulation.messages(job.conversation_id)[-1]["content"]
    assert simulation.begin_turn(other)


def test_an_unsafe_call_whose_worker_was_given_up_too_early_gets_the_outcome_it_reports(
    simulation: Simulation,
) -> None:
    job, worker = with_call(simulation, "unsafe")
    slow = simulation.begin_call(worker)
    simulation.crash(worker)
    other = simulation.hire()
    simulation.claim_call(simulation.must_fetch(other, POOL))
    assert simulation.answer(slow, "it was done") is True
    assert simulation.call(job.job_id)["outcome"] == "succeeded"
    simulation.let_time_pass(UNSAFE_WAIT)
    simulation.beat(other)
    late = simulation.must_fetch(other, POOL)
    assert simulation.claim_call(late) == CallNotOurs()
    assert not simulation.owns(late)
    assert len(simulation.events(job.job_id, "call_ended")) == 1


@pytest.mark.parametrize("effect", ["read", "unsafe"])
def test_a_call_that_killed_its_worker_too_often_is_answered_and_a_dead_letter(
    simulation: Simulation, effect: Effect
) -> None:
    job, _ = with_call(simulation, effect)
    delivery = crash_often(simulation, POOL)  # they died before they began it
    assert simulation.claim_call(delivery) == CallNotOurs()
    assert simulation.call(job.job_id)["outcome"] == "failed"
    assert simulation.dead(POOL)[delivery.id]["reason"] == "crashed"
    assert f"died {MAX_CRASHES} times" in simulation.messages(job.conversation_id)[-1]["content"]
    simulation.drain()
    assert_promises(simulation.redis)


def test_a_call_on_the_queue_of_another_pool_is_not_performed(simulation: Simulation) -> None:
    _, worker = with_call(simulation)
    body = simulation.must_fetch(worker, POOL).body
    simulation.run(queue_commands.enqueue([(OTHER_POOL, "forged", body, None)]))
    forged = simulation.must_fetch(worker, OTHER_POOL)
    assert simulation.claim_call(forged) == CallNotOurs()
    assert not simulation.owns(forged)


def test_the_message_of_a_call_that_has_its_outcome_is_dropped(simulation: Simulation) -> None:
    job, worker = with_call(simulation)
    delivery = simulation.begin_call(worker)
    simulation.deliver_again(delivery)
    assert simulation.answer(delivery)
    late = simulation.must_fetch(worker, POOL)
    assert simulation.claim_call(late) == CallNotOurs()
    assert not simulation.owns(late)
    assert len(simulation.events(job.job_id, "call_started")) == 1


# record_outcome


def test_the_last_outcome_continues_the_job_with_all_answers_in_order(simulation: Simulation) -> None:
    job, worker = simulation.accept(), simulation.hire()
    simulation.fan_out(simulation.begin_turn(worker), [open_call("a"), refused_call("b"), open_call("c")])
    first, second = simulation.begin_call(worker), simulation.begin_call(worker)
    assert simulation.answer(second, "of c: “ü”")
    assert simulation.waiting() == []
    assert simulation.answer(first, "of a")
    assert [id.partition("~")[0] for id in simulation.waiting()] == [f"{job.job_id}/2"]
    answers = simulation.messages(job.conversation_id)[-3:]
    assert [(m["tool_call_id"], m["content"]) for m in answers] == [
        ("a", "of a"),
        ("b", "There is no such tool."),
        ("c", "of c: “ü”"),
    ]


def test_an_outcome_is_recorded_once_and_a_second_one_is_counted(simulation: Simulation) -> None:
    job, worker = with_call(simulation)
    delivery = simulation.begin_call(worker)
    assert simulation.answer(delivery, "first") is True
    assert changes_nothing(simulation, outcome_command(delivery, "second")) is False
    assert simulation.counter("late_outcomes") == 1
    assert simulation.messages(job.conversation_id)[-1]["content"] == "first"


def test_the_first_outcome_counts_also_if_it_comes_from_a_worker_that_was_given_up(simulation: Simulation) -> None:
    job, worker = with_call(simulation)
    slow = simulation.begin_call(worker)
    simulation.crash(worker)
    second = simulation.begin_call(simulation.hire())
    assert simulation.answer(slow, "slow") is True
    assert simulation.answer(second, "second") is False
    assert not simulation.owns(second)
    assert simulation.messages(job.conversation_id)[-1]["content"] == "slow"
    assert len(simulation.waiting()) == 1


def test_an_outcome_after_the_end_of_the_job_only_drops_its_message(simulation: Simulation) -> None:
    job, worker = with_call(simulation)
    delivery = simulation.begin_call(worker)
    simulation.run(job_end.cancel_job(job.job_id, reason="enough"))
    assert simulation.answer(delivery) is False
    assert not simulation.owns(delivery)
    assert simulation.call(job.job_id)["outcome"] == "cancelled"


@pytest.mark.parametrize(
    ("effect", "claimed", "outcome"),
    [("unsafe", True, "unknown"), ("unsafe", False, "failed"), ("read", True, "failed")],
)
def test_an_outcome_from_elsewhere_does_not_say_what_nobody_knows(
    simulation: Simulation, effect: Effect, claimed: bool, outcome: str
) -> None:
    job, worker = with_call(simulation, effect)
    if claimed:
        simulation.begin_call(worker)
    failed = Outcome(kind="failed", content="It was lost: “ü”.")
    assert simulation.run(call_steps.record_outcome(None, job_id=job.job_id, turn=1, index=0, outcome=failed))
    assert simulation.call(job.job_id)["outcome"] == outcome
    assert simulation.messages(job.conversation_id)[-1]["content"].startswith("It was lost: “ü”.")


def test_a_large_result_is_stored_beside_its_preview_until_the_job_expires(simulation: Simulation) -> None:
    job, worker = with_call(simulation)
    simulation.answer(simulation.begin_call(worker), "the beginning", stored_result="the whole of it")
    assert simulation.run(reading.read_stored_result(NAMESPACE, job.job_id, 1, 0)) == "the whole of it"
    [call] = simulation.run(reading.read_calls(NAMESPACE, job.job_id))
    assert (call.stored_bytes, call.outcome and call.outcome.content) == (15, "the beginning")
    simulation.drain()
    assert ttl_of(simulation, f"job:{job.job_id}:result:1/0") >= ttl_of(simulation, f"job:{job.job_id}")


# retry_call


def test_a_call_that_is_tried_again_waits_in_the_schedule(simulation: Simulation) -> None:
    job, worker = with_call(simulation)
    delivery = simulation.begin_call(worker)
    assert simulation.run(retry_call_command(delivery))
    assert simulation.fetch(worker, POOL) is None
    assert simulation.scheduled(POOL) == [delivery.id]
    simulation.let_time_pass(timedelta(seconds=1))
    simulation.beat(worker)
    claim = simulation.claim_call(simulation.must_fetch(worker, POOL))
    assert isinstance(claim, CallClaimed)
    assert claim.attempt == 2
    assert len(simulation.events(job.job_id, "call_retried")) == 1


def test_an_unsafe_call_of_which_its_tool_says_that_nothing_was_done_runs_again(simulation: Simulation) -> None:
    _, worker = with_call(simulation, "unsafe")
    assert simulation.run(retry_call_command(simulation.begin_call(worker), delay=timedelta(0)))
    simulation.beat(worker)
    assert simulation.answer(simulation.begin_call(worker))


def test_a_retry_of_a_call_changes_nothing_when_it_is_sent_again_or_too_late(simulation: Simulation) -> None:
    _, worker = with_call(simulation, "unsafe")
    lost = simulation.begin_call(worker)
    simulation.crash(worker)
    assert changes_nothing(simulation, retry_call_command(lost)) is False
    other = simulation.hire()
    simulation.claim_call(simulation.must_fetch(other, POOL))  # postponed, since the first may have done it
    simulation.let_time_pass(UNSAFE_WAIT)
    simulation.beat(other)
    simulation.claim_call(simulation.must_fetch(other, POOL))
    assert changes_nothing(simulation, retry_call_command(lost)) is False


def test_a_retry_of_a_call_of_an_ended_job_only_drops_its_message(simulation: Simulation) -> None:
    job, worker = with_call(simulation)
    delivery = simulation.begin_call(worker)
    simulation.run(job_end.cancel_job(job.job_id, reason="enough"))
    assert simulation.run(retry_call_command(delivery)) is False
    assert not simulation.owns(delivery)
    assert simulation.scheduled(POOL) == []


# record_progress


def test_progress_is_recorded_while_the_call_runs_and_so_often(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_steps, "MAX_PROGRESS_EVENTS", 2)
    job, worker = with_call(simulation)
    delivery = simulation.begin_call(worker)
    command = call_steps.record_progress(**call_of(delivery), message="half", fraction=0.5)
    assert [simulation.run(command) for _ in range(3)] == [True, True, False]
    assert len(simulation.events(job.job_id, "call_progress")) == 2
    simulation.answer(delivery)
    assert changes_nothing(simulation, command) is False
    unheard_of = call_steps.record_progress(job_id=job.job_id, turn=1, index=7, message="?")
    assert changes_nothing(simulation, unheard_of) is False


# sweep


def lose(simulation: Simulation, queue: str) -> None:
    """What no correct system does: the messages of a queue are gone."""
    simulation.run(queue_commands.purge(queue))


def test_a_sweep_finds_nothing_in_a_correct_system(simulation: Simulation) -> None:
    first = simulation.accept()
    simulation.accept("two", conversation_id=first.conversation_id)
    worker = simulation.hire()
    for _ in range(2):
        assert changes_nothing(simulation, sweep(0)) == Swept(2, 0)
        simulation.fan_out(simulation.begin_turn(worker), [open_call(effect="unsafe"), refused_call("b")])
        assert changes_nothing(simulation, sweep(0)) == Swept(2, 0)
        delivery = simulation.begin_call(worker)
        assert changes_nothing(simulation, sweep(0)) == Swept(2, 0)
        simulation.answer(delivery)


def test_a_sweep_sends_a_lost_turn_again_and_counts_it(simulation: Simulation) -> None:
    job, worker = simulation.accept(), simulation.hire()
    turn = simulation.waiting()
    simulation.redis.delete(simulation.key(ORCHESTRATOR), simulation.key(f"{ORCHESTRATOR}.msgs"))
    assert simulation.run(sweep(0)) == Swept(1, 1)
    assert simulation.counter("repaired") == 1
    assert simulation.waiting() != turn
    assert simulation.finish(simulation.begin_turn(worker))
    assert simulation.state(job.job_id) == "completed"


@pytest.mark.parametrize(("effect", "claimed"), [("read", True), ("unsafe", False)])
def test_a_sweep_sends_a_lost_call_again(simulation: Simulation, effect: Effect, claimed: bool) -> None:
    job, worker = with_call(simulation, effect)
    if claimed:
        assert simulation.run(retry_call_command(simulation.begin_call(worker)))
    lose(simulation, POOL)
    assert simulation.run(sweep(0)) == Swept(1, 1)
    assert simulation.answer(simulation.begin_call(worker))
    simulation.drain()
    assert simulation.state(job.job_id) == "completed"


def test_a_sweep_does_not_send_a_lost_unsafe_call_again_that_had_begun(simulation: Simulation) -> None:
    job, worker = with_call(simulation, "unsafe")
    lost = simulation.begin_call(worker)
    simulation.run(queue_commands.settle([lost], "ack"))
    assert simulation.run(sweep(0)) == Swept(1, 1)
    assert simulation.call(job.job_id)["outcome"] == "unknown"
    assert simulation.waiting(POOL) == []
    assert simulation.run(sweep(0)) == Swept(1, 0)


def test_a_sweep_starts_a_waiting_job_whose_conversation_rests(simulation: Simulation) -> None:
    first = simulation.accept()
    second = simulation.accept("two", conversation_id=first.conversation_id)
    simulation.run(queue_commands.settle([simulation.begin_turn(simulation.hire())], "ack"))
    simulation.redis.hset(simulation.key(f"job:{first.job_id}"), "state", "failed")  # as if its end had broken off
    assert simulation.run(sweep(0)).repaired == 2  # the index of living jobs, and the conversation
    assert simulation.state(second.job_id) == "running"
    assert simulation.run(sweep(0)).repaired == 0
    simulation.redis.flushdb()  # what was broken on purpose


def test_a_sweep_ends_a_job_that_is_long_past_its_deadline(simulation: Simulation) -> None:
    job = simulation.accept(timeout_ms=60_000)
    simulation.let_time_pass(timedelta(minutes=1) + OVERDUE / 2)
    assert simulation.run(sweep(0)).repaired == 0
    simulation.let_time_pass(OVERDUE)
    assert simulation.run(sweep(0)) == Swept(1, 1)
    assert simulation.state(job.job_id) == "expired"


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


# The catalogue


def test_the_catalogue_has_what_living_workers_publish(simulation: Simulation) -> None:
    look, act = tool(), tool(effect="unsafe").model_copy(update={"name": "act"})
    assert simulation.run(publish_tools([look, act])) == 2
    assert simulation.run(publish_tools([look, act])) == 0
    simulation.let_time_pass(ALIVE_FOR + timedelta(seconds=1))
    assert simulation.run(publish_tools([look])) == 0
    published = {one.specification.reference: one for one in simulation.run(read_catalogue())}
    assert {reference: one.is_alive for reference, one in published.items()} == {
        "look@1.0.0": True,
        "act@1.0.0": False,
    }
    assert published["look@1.0.0"].specification == look


def test_the_catalogue_forgets_what_nobody_had_for_a_day(simulation: Simulation) -> None:
    simulation.run(publish_tools([tool()]))
    simulation.let_time_pass(timedelta(days=1, seconds=1))
    simulation.run(publish_tools([]))
    assert simulation.run(read_catalogue()) == []


def test_the_catalogue_leaves_out_what_this_process_cannot_read(simulation: Simulation) -> None:
    simulation.run(publish_tools([tool()]))
    newer = json.loads(tool().model_dump_json()) | {"name": "newer", "schema_version": 99}
    simulation.redis.hset(simulation.key("catalogue"), "newer@1.0.0", json.dumps(newer))
    simulation.redis.zadd(simulation.key("catalogue:seen"), {"newer@1.0.0": 1e15})
    assert [one.specification.name for one in simulation.run(read_catalogue())] == ["look"]


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


# Everything, more than once


@pytest.mark.parametrize("copies", [1, 2])
def test_every_message_delivered_twice_or_three_times_has_one_effect(simulation: Simulation, copies: int) -> None:
    job = simulation.accept(reply_to=REPLY_TO)
    workers = [simulation.hire() for _ in range(1 + copies)]

    def delivered(queue: str) -> list[Delivery]:
        """All messages of a queue, and then each of them as often again as there are copies."""
        first = [simulation.must_fetch(workers[0], queue) for _ in simulation.waiting(queue)]
        again = []
        for worker in workers[1:]:
            for delivery in first:
                simulation.deliver_again(delivery)
                again.append(simulation.must_fetch(worker, queue))
        return first + again

    turns = delivered(ORCHESTRATOR)
    assert sum(isinstance(simulation.claim_turn(one), TurnClaimed) for one in turns) == 1
    calls: list[Asked] = [open_call("a"), open_call("b", effect="unsafe"), refused_call("c")]
    assert sum(simulation.fan_out(one, calls) for one in turns) == 1
    performed = delivered(POOL)
    assert sum(isinstance(simulation.claim_call(one), CallClaimed) for one in performed) == 2
    assert sum(simulation.answer(one) for one in performed) == 2
    turns = delivered(ORCHESTRATOR)
    assert sum(isinstance(simulation.claim_turn(one), TurnClaimed) for one in turns) == 1
    assert sum(simulation.finish(one) for one in turns) == 1
    assert [m["role"] for m in simulation.messages(job.conversation_id)] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "tool",
        "assistant",
    ]
    assert_promises(simulation.redis)
