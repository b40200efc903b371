"""What the sweeper finds, which in a correct system is nothing."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis

from ledger.sweeping import OVERDUE, Swept, sweep
from messaging import queue_commands
from schemas.tool import Effect
from tests.promises import assert_promises
from tests.simulated_steps import POOL, open_call, refused_call, retry_call_command
from tests.simulation import ORCHESTRATOR, Simulation


@pytest.fixture
def simulation(redis_url: str) -> Iterator[Simulation]:
    """A deployment on an empty Redis, which keeps its promises also after the test."""
    with redis.Redis.from_url(redis_url) as client:
        simulation = Simulation(client)
        yield simulation
        assert_promises(client, quiescent=False, repaired=simulation.counter("repaired"))


def lose(simulation: Simulation, queue: str) -> None:
    """What no correct system does: the messages of a queue are gone."""
    simulation.run(queue_commands.purge(queue))


def test_a_sweep_finds_nothing_in_a_correct_system(simulation: Simulation) -> None:
    first = simulation.accept()
    simulation.accept("two", conversation_id=first.conversation_id)
    worker = simulation.hire()
    for _ in range(2):
        assert simulation.changes_nothing(sweep(0)) == Swept(2, 0)
        simulation.fan_out(simulation.begin_turn(worker), [open_call(effect="unsafe"), refused_call("b")])
        assert simulation.changes_nothing(sweep(0)) == Swept(2, 0)
        delivery = simulation.begin_call(worker)
        assert simulation.changes_nothing(sweep(0)) == Swept(2, 0)
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
    job, worker = simulation.accept_with_call(effect)
    if claimed:
        assert simulation.run(retry_call_command(simulation.begin_call(worker)))
    lose(simulation, POOL)
    assert simulation.run(sweep(0)) == Swept(1, 1)
    assert simulation.answer(simulation.begin_call(worker))
    simulation.drain()
    assert simulation.state(job.job_id) == "completed"


def test_a_sweep_does_not_send_a_lost_unsafe_call_again_that_had_begun(simulation: Simulation) -> None:
    job, worker = simulation.accept_with_call("unsafe")
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


@pytest.mark.parametrize("appended", [False, True])
def test_a_sweep_continues_a_turn_whose_calls_have_all_ended(simulation: Simulation, appended: bool) -> None:
    job, worker = simulation.accept_with_call()
    call = simulation.begin_call(worker)
    before = simulation.record(job.job_id)
    assert simulation.answer(call, "found")
    # As if the step had broken off before the continuation.
    simulation.redis.hset(simulation.key(f"job:{job.job_id}"), mapping=before)
    simulation.redis.delete(simulation.key(ORCHESTRATOR), simulation.key(f"{ORCHESTRATOR}.msgs"))
    simulation.redis.delete(simulation.key("feed"), simulation.key("feed:sequence"))
    if not appended:
        simulation.redis.rpop(simulation.key(f"conversation:{job.conversation_id}:messages"))
    assert simulation.run(sweep(0)) == Swept(1, 1)
    assert [m["role"] for m in simulation.messages(job.conversation_id)] == ["user", "assistant", "tool"]
    assert simulation.run(sweep(0)) == Swept(1, 0)
    simulation.drain()
    assert simulation.state(job.job_id) == "completed"


def test_a_sweep_starts_a_job_that_waits_in_no_line(simulation: Simulation) -> None:
    first = simulation.accept()
    second = simulation.accept("two", conversation_id=first.conversation_id)
    simulation.redis.delete(simulation.key(f"conversation:{first.conversation_id}:waiting"))
    simulation.drain()
    assert simulation.state(second.job_id) == "waiting"
    assert simulation.run(sweep(0)) == Swept(1, 1)
    assert simulation.state(second.job_id) == "running"


def test_a_sweep_ends_a_job_that_is_long_past_its_deadline(simulation: Simulation) -> None:
    job = simulation.accept(timeout_ms=60_000)
    simulation.let_time_pass(timedelta(minutes=1) + OVERDUE / 2)
    assert simulation.run(sweep(0)).repaired == 0
    simulation.let_time_pass(OVERDUE)
    assert simulation.run(sweep(0)) == Swept(1, 1)
    assert simulation.state(job.job_id) == "expired"
