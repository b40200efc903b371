"""What each step of a turn and of a call does: the first time, again, too late, and by the wrong one."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis

from ledger import call_steps, job_end, reading, turn_steps
from ledger.call_steps import CallClaimed, CallNotOurs, CallPostponed
from ledger.turn_steps import TurnClaimed, TurnNotOurs
from messaging import queue_commands
from messaging.command import Command
from messaging.delivery import Delivery
from messaging.queue_commands import MAX_CRASHES
from schemas.call import Outcome
from schemas.job_result import JobError
from schemas.tool import Effect
from tests.promises import assert_promises
from tests.simulated_steps import (
    FACTS,
    OTHER_POOL,
    POOL,
    UNSAFE_WAIT,
    Asked,
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
    turn_of,
)
from tests.simulation import NAMESPACE, ORCHESTRATOR, Simulation

REPLY_TO = {"queue": "reply.upstream", "actor": "hear"}


@pytest.fixture
def simulation(redis_url: str) -> Iterator[Simulation]:
    """A deployment on an empty Redis, which keeps its promises also after the test."""
    with redis.Redis.from_url(redis_url) as client:
        simulation = Simulation(client)
        yield simulation
        assert_promises(client, quiescent=False, repaired=simulation.counter("repaired"))


# claim_turn


def test_a_claim_of_a_turn_that_is_sent_again_gets_the_same_answer(simulation: Simulation) -> None:
    job = simulation.accept("hello")
    command = claim_turn_command(simulation.must_fetch(simulation.hire()))
    first = simulation.run(command)
    again = simulation.changes_nothing(command)
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
    assert simulation.changes_nothing(finish_command(lost)) is False
    assert simulation.changes_nothing(claim_turn_command(lost)) == TurnNotOurs()
    assert simulation.counter("late_steps") == 1
    assert simulation.finish(second)
    assert [event["delivery"].get("crashes", 0) for event in simulation.events(job.job_id, "turn_started")] == [0, 1]


def test_the_message_of_a_turn_that_is_over_is_dropped(simulation: Simulation) -> None:
    _, worker = simulation.accept_with_call()
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
    delivery = simulation.crash_often(ORCHESTRATOR)
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
    assert simulation.changes_nothing(command) is False
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
    before = simulation.content()
    with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
        simulation.run(Command(command.script, command.words[:-1], bool))
    assert simulation.content() == before
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
    assert simulation.changes_nothing(command) is False
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
    assert simulation.changes_nothing(command) is False
    simulation.beat(worker)
    second = simulation.begin_turn(worker)
    assert simulation.changes_nothing(command) is False
    assert simulation.finish(second)


# claim_call


def test_a_claim_of_a_call_that_is_sent_again_gets_the_same_answer(simulation: Simulation) -> None:
    job, worker = simulation.accept_with_call("unsafe")
    command = claim_call_command(simulation.must_fetch(worker, POOL))
    first = simulation.run(command)
    again = simulation.changes_nothing(command)
    assert isinstance(first, CallClaimed)
    assert isinstance(again, CallClaimed)
    assert (again.attempt, again.tool, again.arguments) == (1, first.tool, first.arguments)
    assert len(simulation.events(job.job_id, "call_started")) == 1


def test_a_second_delivery_of_a_call_is_dropped_while_the_first_is_at_work(simulation: Simulation) -> None:
    _, worker = simulation.accept_with_call()
    first = simulation.begin_call(worker)
    simulation.deliver_again(first)
    second = simulation.must_fetch(worker, POOL)
    assert simulation.claim_call(second) == CallNotOurs()
    assert not simulation.owns(second)
    assert simulation.counter("duplicate_deliveries") == 1
    assert simulation.answer(first)


@pytest.mark.parametrize("effect", ["read", "idempotent"])
def test_a_repeatable_call_whose_worker_was_lost_runs_again(simulation: Simulation, effect: Effect) -> None:
    job, worker = simulation.accept_with_call(effect)
    lost = simulation.begin_call(worker)
    simulation.crash(worker)
    second = simulation.must_fetch(simulation.hire(), POOL)
    claim = simulation.claim_call(second)
    assert isinstance(claim, CallClaimed)
    assert claim.attempt == 2
    assert simulation.changes_nothing(claim_call_command(lost)) == CallNotOurs()
    assert simulation.answer(second)
    assert simulation.call(job.job_id)["attempt"] == "2"


def test_an_unsafe_call_whose_worker_was_lost_is_waited_for_and_then_unknown(simulation: Simulation) -> None:
    job, worker = simulation.accept_with_call("unsafe")
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
    job, worker = simulation.accept_with_call("unsafe")
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
    job, _ = simulation.accept_with_call(effect)
    delivery = simulation.crash_often(POOL)  # they died before they began it
    assert simulation.claim_call(delivery) == CallNotOurs()
    assert simulation.call(job.job_id)["outcome"] == "failed"
    assert simulation.dead(POOL)[delivery.id]["reason"] == "crashed"
    assert f"died {MAX_CRASHES} times" in simulation.messages(job.conversation_id)[-1]["content"]
    simulation.drain()
    assert_promises(simulation.redis)


def test_a_call_on_the_queue_of_another_pool_is_not_performed(simulation: Simulation) -> None:
    _, worker = simulation.accept_with_call()
    body = simulation.must_fetch(worker, POOL).body
    simulation.run(queue_commands.enqueue([(OTHER_POOL, "forged", body, None)]))
    forged = simulation.must_fetch(worker, OTHER_POOL)
    assert simulation.claim_call(forged) == CallNotOurs()
    assert not simulation.owns(forged)


def test_the_message_of_a_call_that_has_its_outcome_is_dropped(simulation: Simulation) -> None:
    job, worker = simulation.accept_with_call()
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
    job, worker = simulation.accept_with_call()
    delivery = simulation.begin_call(worker)
    assert simulation.answer(delivery, "first") is True
    assert simulation.changes_nothing(outcome_command(delivery, "second")) is False
    assert simulation.counter("late_outcomes") == 1
    assert simulation.messages(job.conversation_id)[-1]["content"] == "first"


def test_the_first_outcome_counts_also_if_it_comes_from_a_worker_that_was_given_up(simulation: Simulation) -> None:
    job, worker = simulation.accept_with_call()
    slow = simulation.begin_call(worker)
    simulation.crash(worker)
    second = simulation.begin_call(simulation.hire())
    assert simulation.answer(slow, "slow") is True
    assert simulation.answer(second, "second") is False
    assert not simulation.owns(second)
    assert simulation.messages(job.conversation_id)[-1]["content"] == "slow"
    assert len(simulation.waiting()) == 1


def test_an_outcome_after_the_end_of_the_job_only_drops_its_message(simulation: Simulation) -> None:
    job, worker = simulation.accept_with_call()
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
    job, worker = simulation.accept_with_call(effect)
    if claimed:
        simulation.begin_call(worker)
    failed = Outcome(kind="failed", content="It was lost: “ü”.")
    assert simulation.run(call_steps.record_outcome(None, job_id=job.job_id, turn=1, index=0, outcome=failed))
    assert simulation.call(job.job_id)["outcome"] == outcome
    assert simulation.messages(job.conversation_id)[-1]["content"].startswith("It was lost: “ü”.")


def test_a_large_result_is_stored_beside_its_preview_until_the_job_expires(simulation: Simulation) -> None:
    job, worker = simulation.accept_with_call()
    simulation.answer(simulation.begin_call(worker), "the beginning", stored_result="the whole of it")
    assert simulation.run(reading.read_stored_result(NAMESPACE, job.job_id, 1, 0)) == "the whole of it"
    [call] = simulation.run(reading.read_calls(NAMESPACE, job.job_id))
    assert (call.stored_bytes, call.outcome and call.outcome.content) == (15, "the beginning")
    simulation.drain()
    assert simulation.ttl_of(f"job:{job.job_id}:result:1/0") >= simulation.ttl_of(f"job:{job.job_id}")


# retry_call


def test_a_call_that_is_tried_again_waits_in_the_schedule(simulation: Simulation) -> None:
    job, worker = simulation.accept_with_call()
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
    _, worker = simulation.accept_with_call("unsafe")
    assert simulation.run(retry_call_command(simulation.begin_call(worker), delay=timedelta(0)))
    simulation.beat(worker)
    assert simulation.answer(simulation.begin_call(worker))


def test_a_retry_of_a_call_changes_nothing_when_it_is_sent_again_or_too_late(simulation: Simulation) -> None:
    _, worker = simulation.accept_with_call("unsafe")
    lost = simulation.begin_call(worker)
    simulation.crash(worker)
    assert simulation.changes_nothing(retry_call_command(lost)) is False
    other = simulation.hire()
    simulation.claim_call(simulation.must_fetch(other, POOL))  # postponed, since the first may have done it
    simulation.let_time_pass(UNSAFE_WAIT)
    simulation.beat(other)
    simulation.claim_call(simulation.must_fetch(other, POOL))
    assert simulation.changes_nothing(retry_call_command(lost)) is False


def test_a_retry_of_a_call_of_an_ended_job_only_drops_its_message(simulation: Simulation) -> None:
    job, worker = simulation.accept_with_call()
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
    job, worker = simulation.accept_with_call()
    delivery = simulation.begin_call(worker)
    command = call_steps.record_progress(**call_of(delivery), message="half", fraction=0.5)
    assert [simulation.run(command) for _ in range(3)] == [True, True, False]
    assert len(simulation.events(job.job_id, "call_progress")) == 2
    simulation.answer(delivery)
    assert simulation.changes_nothing(command) is False
    unheard_of = call_steps.record_progress(job_id=job.job_id, turn=1, index=7, message="?")
    assert simulation.changes_nothing(unheard_of) is False


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
