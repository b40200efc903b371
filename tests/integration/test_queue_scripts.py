"""What each script on queues does: who owns a message, and what becomes of it when its worker is done, gone or dead.

Limits and fair shares are in `test_limits.py`.
"""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
import redis.asyncio

from messaging import queue_commands
from messaging.command_runner import BlockingRunner, PipeliningRunner
from messaging.delivery import Delivery
from messaging.limits import QueueLimits, set_queue_limits
from messaging.queue_commands import DEAD_LETTER_TTL, MAX_CRASHES, SettleHow
from tests.promises import assert_promises
from tests.simulation import CHECK_INTERVAL, HEARTBEAT_TIMEOUT, NAMESPACE, NOTICE, ORCHESTRATOR, Simulation
from tests.snapshot import Snapshot

WORK = "errands"


@pytest.fixture
def simulation(redis_url: str) -> Iterator[Simulation]:
    """An empty Redis, whose queues are in order also after the test."""
    with redis.Redis.from_url(redis_url) as client:
        yield Simulation(client)
        assert_promises(client, quiescent=False)


def put(simulation: Simulation, *ids: str, delay_ms: int | None = None) -> None:
    """Enqueues a message under each of these ids."""
    simulation.run(queue_commands.enqueue([(WORK, id, body(id), delay_ms) for id in ids]))


def body(id: str, **options: Any) -> bytes:
    return json.dumps({"queue_name": WORK, "message_id": id, "kwargs": {}, "options": options}).encode()


def fetch(simulation: Simulation, worker: str, room: int = 10) -> list[Delivery]:
    return list(simulation.run(queue_commands.fetch(worker, WORK, room)).deliveries)


def fetched_ids(simulation: Simulation, worker: str, room: int = 10) -> list[str]:
    return [delivery.id for delivery in fetch(simulation, worker, room)]


def leave(simulation: Simulation, worker: str, *, died: bool = False) -> int:
    return simulation.run(queue_commands.leave(worker, died=died))


def settle(simulation: Simulation, how: SettleHow, *deliveries: Delivery, detail: str | int = "") -> int:
    return simulation.run(queue_commands.settle(deliveries, how, detail))


def queue_content(simulation: Simulation) -> dict[str, object]:
    """All that is kept of the queue, and of who holds what of it."""
    keys = Snapshot.take(simulation.redis, NAMESPACE).keys
    return {name: key.content for name, key in keys.items() if WORK in name}


# fetch


def test_a_fetch_hands_over_as_many_as_there_is_room_for_in_order(simulation: Simulation) -> None:
    put(simulation, "a", "b", "c")
    worker = simulation.hire(WORK)
    fetched = simulation.run(queue_commands.fetch(worker, WORK, 2))
    assert [(delivery.id, delivery.body) for delivery in fetched.deliveries] == [("a", body("a")), ("b", body("b"))]
    assert (fetched.registered, fetched.waiting) == (True, 1)
    assert all(simulation.owns(delivery) for delivery in fetched.deliveries)
    assert simulation.waiting(WORK) == ["c"]


def test_each_delivery_has_a_token_of_its_own_also_for_the_same_worker(simulation: Simulation) -> None:
    put(simulation, "a")
    worker = simulation.hire(WORK)
    [first] = fetch(simulation, worker)
    settle(simulation, "give_back", first)
    [second] = fetch(simulation, worker)
    assert first.token != second.token
    assert settle(simulation, "ack", first) == 0
    assert settle(simulation, "ack", second) == 1


def test_a_worker_that_is_not_among_the_living_gets_nothing(simulation: Simulation) -> None:
    put(simulation, "a")
    assert simulation.run(queue_commands.fetch("nobody", WORK, 1)).registered is False
    assert simulation.waiting(WORK) == ["a"]


def test_an_id_without_a_body_is_passed_over(simulation: Simulation) -> None:
    put(simulation, "a")
    simulation.redis.lpush(simulation.key(WORK), "nothing")
    assert fetched_ids(simulation, simulation.hire(WORK), room=1) == ["a"]


# settle, retry


def test_an_acknowledged_message_is_gone_without_a_trace(simulation: Simulation) -> None:
    put(simulation, "a")
    simulation.crash(_holder(simulation))  # so that there is a count to forget
    assert settle(simulation, "ack", *fetch(simulation, simulation.hire(WORK))) == 1
    assert queue_content(simulation) == {}


def test_what_is_given_back_goes_to_the_head_in_order_and_is_not_counted(simulation: Simulation) -> None:
    put(simulation, "a", "b", "c", "d")
    worker = simulation.hire(WORK)
    assert settle(simulation, "give_back", *fetch(simulation, worker, 3)) == 3
    assert [(delivery.id, delivery.crashes) for delivery in fetch(simulation, worker)] == [
        ("a", 0),
        ("b", 0),
        ("c", 0),
        ("d", 0),
    ]


def test_what_is_postponed_comes_back_under_the_same_id_when_it_is_due(simulation: Simulation) -> None:
    put(simulation, "a")
    worker = simulation.hire(WORK)
    [delivery] = fetch(simulation, worker)
    assert settle(simulation, "postpone", delivery, detail=1000) == 1
    assert simulation.scheduled(WORK) == ["a"]
    simulation.beat(worker)
    assert fetched_ids(simulation, worker) == []
    simulation.let_time_pass(timedelta(seconds=1))
    simulation.beat(worker)
    [again] = fetch(simulation, worker)
    assert (again.id, again.body, again.crashes) == ("a", delivery.body, 0)


def test_a_broken_delivery_is_postponed_and_counted_with_its_circumstances(simulation: Simulation) -> None:
    put(simulation, "a")
    worker = simulation.hire(WORK)
    for times in range(1, 3):
        [delivery] = fetch(simulation, worker)
        assert settle(simulation, "break", delivery, detail=10) == 1
        simulation.let_time_pass(timedelta(milliseconds=10))
        simulation.beat(worker)
        [again] = fetch(simulation, worker)
        assert (again.crashes, len(again.lost), again.lost[-1].worker) == (times, min(times, 5), worker)
        settle(simulation, "give_back", again)


def test_a_buried_message_is_a_dead_letter_and_somebody_hears_of_it(simulation: Simulation) -> None:
    put(simulation, "a")
    [delivery] = fetch(simulation, simulation.hire(WORK))
    command = queue_commands.bury(delivery, reason="failed", error='it said "no"', notice=NOTICE)
    assert simulation.run(command) == 1
    assert simulation.dead(WORK) == {"a": {"reason": "failed", "error": 'it said "no"'}}
    assert simulation.redis.hget(simulation.key(f"{WORK}.XQ.msgs"), "a") == body("a")
    notice = json.loads(simulation.must_fetch(simulation.hire(), ORCHESTRATOR).body)
    assert notice["actor_name"] == "answer_dead_letter"
    assert notice["kwargs"] == {
        "queue": WORK,
        "message_id": "a",
        "cause": {"reason": "failed", "error": 'it said "no"'},
    }
    assert simulation.run(command) == 0
    assert simulation.waiting(ORCHESTRATOR) == []


def test_dead_letters_are_kept_for_their_time_and_leave_with_the_next_round(simulation: Simulation) -> None:
    put(simulation, "a", "b")
    worker = simulation.hire(WORK)
    old, new = fetch(simulation, worker)
    simulation.run(queue_commands.bury(old, reason="failed", error="", notice=None))
    simulation.let_time_pass(DEAD_LETTER_TTL)
    simulation.run(queue_commands.bury(new, reason="failed", error="", notice=None))
    simulation.beat(worker)
    assert list(simulation.dead(WORK)) == ["b"]
    assert simulation.redis.hkeys(simulation.key(f"{WORK}.XQ.msgs")) == [b"b"]


@pytest.mark.parametrize("how", ["ack", "give_back", "postpone", "break", "bury"])
def test_only_what_is_still_owned_is_settled(simulation: Simulation, how: SettleHow) -> None:
    put(simulation, "a", "b")
    worker = simulation.hire(WORK)
    lost, kept = fetch(simulation, worker)
    settle(simulation, "give_back", lost)
    [elsewhere] = fetch(simulation, simulation.hire(WORK))
    detail = "{}" if how == "bury" else 1000
    assert settle(simulation, how, lost, kept, detail=detail) == 1
    assert simulation.owns(elsewhere)
    before = queue_content(simulation)
    assert settle(simulation, how, lost, kept, detail=detail) == 0
    assert queue_content(simulation) == before


def test_an_unknown_way_to_settle_is_an_error_and_changes_nothing(simulation: Simulation) -> None:
    put(simulation, "a")
    [delivery] = fetch(simulation, simulation.hire(WORK))
    before = queue_content(simulation)
    with pytest.raises(redis.ResponseError, match="unknown way"):
        settle(simulation, "burn", delivery)  # type: ignore[arg-type]  # what a newer process might send
    assert queue_content(simulation) == before


def test_a_retry_schedules_the_next_attempt_and_settles_this_one(simulation: Simulation) -> None:
    put(simulation, "a")
    worker = simulation.hire(WORK)
    [delivery] = fetch(simulation, worker)
    command = queue_commands.retry(delivery, queue=WORK, id="a-again", body=body("a-again"), delay_ms=0)
    assert simulation.run(command) is True
    assert not simulation.owns(delivery)
    before = queue_content(simulation)
    assert simulation.run(command) is False
    assert queue_content(simulation) == before
    simulation.beat(worker)
    assert fetched_ids(simulation, worker) == ["a-again"]


def test_an_id_that_is_in_the_queue_is_not_enqueued_twice(simulation: Simulation) -> None:
    message = (WORK, "a", body("a"), None)
    assert simulation.run(queue_commands.enqueue([message, message])) == 1
    fetch(simulation, simulation.hire(WORK))
    assert simulation.run(queue_commands.enqueue([message])) == 0
    assert simulation.waiting(WORK) == []


def test_an_id_that_is_scheduled_is_not_enqueued_beside_it(simulation: Simulation) -> None:
    put(simulation, "a", delay_ms=1000)
    put(simulation, "a")
    simulation.let_time_pass(timedelta(seconds=1))
    worker = simulation.hire(WORK)
    simulation.beat(worker)
    assert fetched_ids(simulation, worker) == ["a"]


# beat: life and death


def _holder(simulation: Simulation, room: int = 10) -> str:
    """A worker that holds what waits."""
    worker = simulation.hire(WORK)
    fetch(simulation, worker, room)
    return worker


def test_what_a_silent_worker_held_comes_back_in_order_and_is_counted(simulation: Simulation) -> None:
    put(simulation, "a", "b", "c", "d")
    silent, other = _holder(simulation, 3), simulation.hire(WORK)
    simulation.make_silent(silent)
    assert simulation.beat(other).released == 3
    again = fetch(simulation, other)
    assert [(delivery.id, delivery.crashes) for delivery in again] == [("a", 1), ("b", 1), ("c", 1), ("d", 0)]
    assert again[0].lost[-1].worker == silent


def test_a_worker_that_was_declared_dead_hears_so_and_cannot_fetch(simulation: Simulation) -> None:
    put(simulation, "a")
    silent, other = _holder(simulation), simulation.hire(WORK)
    simulation.make_silent(silent)
    simulation.beat(other)
    [pulse] = simulation.beat(silent).workers
    assert (pulse.alive, pulse.held) == (False, 0)
    assert simulation.run(queue_commands.fetch(silent, WORK, 1)).registered is False


def test_a_worker_that_beats_keeps_what_it_holds(simulation: Simulation) -> None:
    put(simulation, "a")
    worker = _holder(simulation)
    simulation.make_silent(worker)  # but the beat that looks for the dead is its own
    [pulse] = simulation.beat(worker).workers
    assert (pulse.alive, pulse.held) == (True, 1)


def test_nobody_is_declared_dead_for_one_time_out_after_redis_was_away(simulation: Simulation) -> None:
    put(simulation, "a")
    silent, other = _holder(simulation), simulation.hire(WORK)
    simulation.beat(silent, other)
    simulation.let_time_pass(timedelta(minutes=1))  # nobody has looked for the dead in that time
    assert simulation.beat(other).released == 0
    simulation.let_time_pass(HEARTBEAT_TIMEOUT / 2)
    assert simulation.beat(other).released == 0
    simulation.let_time_pass(HEARTBEAT_TIMEOUT / 2)
    assert simulation.beat(other).released == 1


def test_nobody_is_declared_dead_by_the_first_look_of_all(simulation: Simulation) -> None:
    put(simulation, "a")
    silent, other = _holder(simulation), simulation.hire(WORK)
    simulation.redis.zadd(simulation.key("__workers__"), {silent: 0})
    assert simulation.beat(other).released == 0


def test_the_dead_are_looked_for_once_an_interval(simulation: Simulation) -> None:
    put(simulation, "a")
    silent, other = _holder(simulation), simulation.hire(WORK)
    seconds, us = simulation.redis.time()
    recovery = {"checked_ms": seconds * 1000 + us // 1000, "grace_until_ms": 0}
    simulation.redis.hset(simulation.key("__recovery__"), mapping=recovery)
    simulation.redis.zadd(simulation.key("__workers__"), {silent: 0})
    assert simulation.beat(other).released == 0
    simulation.let_time_pass(CHECK_INTERVAL)
    assert simulation.beat(other).released == 1


@pytest.mark.parametrize(("silent_for_s", "released"), [(50, 0), (70, 1)])
def test_a_stock_worker_is_judged_by_its_own_margin_and_nothing_is_counted(
    simulation: Simulation, silent_for_s: int, released: int
) -> None:
    put(simulation, "a")
    other = simulation.hire(WORK)
    seconds, _ = simulation.redis.time()
    simulation.redis.lpop(simulation.key(WORK))  # as the dispatch script of stock Dramatiq fetches
    simulation.redis.sadd(simulation.key(f"__acks__.stock.{WORK}"), "a")
    simulation.redis.zadd(simulation.key("__heartbeats__"), {"stock": (seconds - silent_for_s) * 1000})
    simulation.redis.hset(simulation.key("__recovery__"), mapping={"checked_ms": (seconds - 2) * 1000})
    assert simulation.beat(other).released == released
    assert [(delivery.id, delivery.crashes) for delivery in fetch(simulation, other)] == [("a", 0)] * released


def test_a_worker_hears_what_it_is_told_once(simulation: Simulation) -> None:
    worker, other = simulation.hire(WORK), simulation.hire(WORK)
    simulation.redis.rpush(simulation.key(f"__control__.{worker}"), "a", "b")
    simulation.redis.expire(simulation.key(f"__control__.{worker}"), 60)
    pulse = simulation.beat(worker, other)
    assert [one.told for one in pulse.workers] == [["a", "b"], []]
    assert simulation.beat(worker).workers[0].told == []


def test_a_beat_says_how_much_each_worker_holds(simulation: Simulation) -> None:
    put(simulation, "a", "b", "c")
    busy, idle = _holder(simulation, 2), simulation.hire(WORK)
    assert [one.held for one in simulation.beat(busy, idle).workers] == [2, 0]


# beat: the schedule


def test_what_is_due_is_promoted_in_the_order_in_which_it_is_due(simulation: Simulation) -> None:
    for id, delay_ms in (("late", 60_000), ("second", 20), ("first", 10)):
        put(simulation, id, delay_ms=delay_ms)
    worker = simulation.hire(WORK)
    simulation.let_time_pass(timedelta(seconds=1))
    pulse = simulation.beat(worker)
    assert fetched_ids(simulation, worker) == ["first", "second"]
    assert pulse.next_due_ms is not None
    assert 58_000 < pulse.next_due_ms - pulse.now_us / 1000 < 60_000


def test_a_flood_of_due_messages_is_promoted_in_parts(simulation: Simulation) -> None:
    ids = [f"m{number:03}" for number in range(250)]
    put(simulation, *ids, delay_ms=0)
    worker = simulation.hire(WORK)
    pulse = simulation.beat(worker)
    assert len(simulation.waiting(WORK)) == 200
    assert pulse.next_due_ms is not None
    assert pulse.next_due_ms <= pulse.now_us / 1000  # so the next round comes at once
    simulation.beat(worker)
    assert sorted(simulation.waiting(WORK)) == ids


def test_what_stock_producers_delayed_is_taken_over_with_its_time(simulation: Simulation) -> None:
    worker = simulation.hire(WORK)
    seconds, _ = simulation.redis.time()
    for id, message in (
        ("later", body("later", eta=(seconds + 60) * 1000)),
        ("now", body("now", eta=seconds * 1000)),
        ("odd", b"no JSON"),
    ):
        simulation.redis.hset(simulation.key(f"{WORK}.DQ.msgs"), id, message)
        simulation.redis.rpush(simulation.key(f"{WORK}.DQ"), id)
    assert simulation.run(queue_commands.queue_size(WORK)) == 3
    simulation.beat(worker)
    assert sorted(fetched_ids(simulation, worker)) == ["now", "odd"]
    assert simulation.scheduled(WORK) == ["later"]
    assert simulation.redis.exists(simulation.key(f"{WORK}.DQ"), simulation.key(f"{WORK}.DQ.msgs")) == 0


# On its way to a worker


def wait_for_message(simulation: Simulation, worker: str) -> bool:
    return simulation.run(queue_commands.wait_for_message(NAMESPACE, worker, WORK, timeout_s=0.01))


def test_the_message_that_a_worker_waited_for_is_the_first_that_it_fetches(simulation: Simulation) -> None:
    put(simulation, "a", "b")
    worker = simulation.hire(WORK)
    assert wait_for_message(simulation, worker) is True
    assert fetched_ids(simulation, worker) == ["a", "b"]
    assert wait_for_message(simulation, worker) is False


def test_what_has_landed_behind_an_id_without_a_body_is_not_waited_for(simulation: Simulation) -> None:
    worker = simulation.hire()
    put(simulation, "gone", "a")
    for _ in range(2):
        assert wait_for_message(simulation, worker)
    simulation.redis.hdel(simulation.key(f"{WORK}.msgs"), "gone")
    fetched = simulation.run(queue_commands.fetch(worker, WORK, 1))
    assert [delivery.id for delivery in fetched.deliveries] == ["a"]


def test_what_is_on_its_way_to_a_worker_without_room_goes_back_to_the_head(simulation: Simulation) -> None:
    put(simulation, "a", "b")
    worker = simulation.hire(WORK)
    wait_for_message(simulation, worker)
    assert fetched_ids(simulation, worker, room=0) == []
    assert simulation.waiting(WORK) == ["a", "b"]


@pytest.mark.parametrize("end", ["silence", "leave", "reconcile"])
def test_what_is_on_its_way_to_a_worker_that_ends_goes_back_uncounted(simulation: Simulation, end: str) -> None:
    put(simulation, "a", "b")
    worker, other = simulation.hire(WORK), simulation.hire(WORK)
    wait_for_message(simulation, worker)
    match end:
        case "silence":
            simulation.make_silent(worker)
            simulation.beat(other)
        case "leave":
            leave(simulation, worker, died=True)
        case _:
            simulation.run(queue_commands.reconcile(worker, WORK, []))
    assert [(delivery.id, delivery.crashes) for delivery in fetch(simulation, other)] == [("a", 0), ("b", 0)]


def test_a_message_that_reaches_a_worker_after_it_has_gone_comes_back_with_the_next_round(
    simulation: Simulation,
) -> None:
    worker, other = simulation.hire(WORK), simulation.hire(WORK)
    leave(simulation, worker)
    put(simulation, "a")
    wait_for_message(simulation, worker)  # it had begun before it left
    assert fetched_ids(simulation, other) == []
    simulation.beat(other)
    assert fetched_ids(simulation, other) == ["a"]


# leave, reconcile


@pytest.mark.parametrize("died", [True, False])
def test_what_a_leaving_worker_held_comes_back_in_order_and_counts_if_it_died(
    simulation: Simulation, died: bool
) -> None:
    put(simulation, "a", "b", "c")
    worker, other = _holder(simulation, 2), simulation.hire(WORK)
    assert leave(simulation, worker, died=died) == 2
    assert leave(simulation, worker, died=died) == 0
    crashes = int(died)
    assert [(one.id, one.crashes) for one in fetch(simulation, other)] == [("a", crashes), ("b", crashes), ("c", 0)]
    assert simulation.beat(worker).workers[0].alive is False


def die(simulation: Simulation, room: int = 10) -> list[tuple[str, int]]:
    """A worker fetches what it gets and dies with it; what that was, with its crashes."""
    worker = simulation.hire()
    died_with = [(delivery.id, delivery.crashes) for delivery in fetch(simulation, worker, room)]
    leave(simulation, worker, died=True)
    return died_with


@pytest.mark.parametrize("fair", [False, True])
def test_a_message_that_kills_its_workers_takes_none_of_its_company_along(simulation: Simulation, fair: bool) -> None:
    simulation.run(set_queue_limits(WORK, QueueLimits(fair=fair)))
    ids = [str(number) for number in range(10)]
    simulation.run(queue_commands.enqueue([(WORK, id, body(id), None) for id in ids], lane="i:ann"))
    poison, deaths, done, given_up = "4", 0, [], []
    worker = simulation.hire()
    while deliveries := fetch(simulation, worker):
        if any(delivery.id == poison and delivery.crashes < MAX_CRASHES for delivery in deliveries):
            leave(simulation, worker, died=True)
            deaths += 1
        else:
            done += [delivery.id for delivery in deliveries]
            given_up += [delivery.id for delivery in deliveries if delivery.crashes == MAX_CRASHES]
            settle(simulation, "ack", *deliveries)
        worker = simulation.hire()
    assert sorted(done) == ids
    assert given_up == [poison]
    assert deaths == 5, "twice with all, then as one of ten, as one of three, and alone"


def test_a_lone_message_is_given_up_after_its_third_death(simulation: Simulation) -> None:
    put(simulation, "a")
    assert [die(simulation) for _ in range(4)] == [[("a", crashes)] for crashes in range(4)]


def test_of_those_that_died_together_a_worker_gets_as_many_as_may_be_in_one_company(simulation: Simulation) -> None:
    put(simulation, *"abcdefghi")
    for crashes in (0, 1, 2):
        assert die(simulation) == [(id, crashes) for id in "abcdefghi"]
    put(simulation, "new")
    worker, other = simulation.hire(), simulation.hire()
    held = fetch(simulation, worker)
    assert [(delivery.id, delivery.crashes) for delivery in held] == [("a", 2), ("b", 2), ("c", 2), ("new", 0)]
    fetched = simulation.run(queue_commands.fetch(worker, WORK, 10))
    assert (fetched.deliveries, fetched.held_up_by, fetched.waiting) == ([], "full", 6)
    assert fetched_ids(simulation, other, 2) == ["d", "e"]
    settle(simulation, "ack", held[0])
    assert simulation.run(queue_commands.wait_for_bell(NAMESPACE, worker, WORK, timeout_s=1)), "a place is free"
    assert fetched_ids(simulation, worker) == ["f"]
    leave(simulation, other, died=True)
    assert [(one.id, one.crashes) for one in fetch(simulation, simulation.hire())] == [("d", 2)], "two died together"
    settle(simulation, "ack", *held[1:])


def test_many_messages_come_back_in_order(simulation: Simulation) -> None:
    ids = [f"a-message-with-a-long-id-{number:04}" for number in range(300)]  # more than a small set keeps in order
    put(simulation, *ids)
    worker = simulation.hire(WORK)
    fetch(simulation, worker, 300)
    leave(simulation, worker)
    assert simulation.waiting(WORK) == ids


def test_a_fetch_whose_answer_was_lost_is_found_by_reconciling(simulation: Simulation) -> None:
    put(simulation, "a", "b", "c", "d")
    worker = simulation.hire(WORK)
    [known] = fetch(simulation, worker, 1)
    fetch(simulation, worker, 2)  # this answer never arrived
    assert simulation.run(queue_commands.reconcile(worker, WORK, [known.id])) == 2
    assert simulation.owns(known)
    assert [(delivery.id, delivery.crashes) for delivery in fetch(simulation, worker)] == [
        ("b", 0),
        ("c", 0),
        ("d", 0),
    ]


# purge, sizes


def test_a_purge_drops_all_but_what_is_being_processed(simulation: Simulation) -> None:
    put(simulation, "in flight", "dead", "broken")
    worker = simulation.hire(WORK)
    in_flight, dead, broken = fetch(simulation, worker)
    simulation.run(queue_commands.bury(dead, reason="failed", error="", notice=None))
    settle(simulation, "break", broken, detail=1000)
    put(simulation, "waiting")
    put(simulation, "scheduled", delay_ms=1000)
    simulation.redis.hset(simulation.key(f"{WORK}.DQ.msgs"), "delayed", body("delayed"))
    simulation.redis.rpush(simulation.key(f"{WORK}.DQ"), "delayed")
    assert simulation.run(queue_commands.queue_size(WORK)) == 5
    assert simulation.run(queue_commands.purge(WORK)) == 5
    assert simulation.run(queue_commands.queue_size(WORK)) == 1
    assert simulation.owns(in_flight)
    settle(simulation, "ack", in_flight)
    assert queue_content(simulation) == {}


# Scripts that Redis has forgotten


def test_a_blocking_runner_sends_a_script_again_that_redis_has_forgotten(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        runner = BlockingRunner(client, namespace=NAMESPACE)
        for expected in range(2):
            client.script_flush()
            assert runner.run(queue_commands.queue_size(WORK)) == expected
            client.script_flush()
            runner.run(queue_commands.enqueue([(WORK, "a", body("a"), None)]))


async def test_a_pipelining_runner_sends_scripts_again_that_redis_has_forgotten(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        runner = PipeliningRunner(client, namespace=NAMESPACE)
        for round in range(2):
            ids = [f"{round}/{number}" for number in range(20)]
            await client.script_flush()
            # At once, so that they go as one pipeline; some are scripts and some are not.
            answers = await asyncio.gather(
                *(runner.run(queue_commands.enqueue([(WORK, id, body(id), None)])) for id in ids),
                *(runner.run(queue_commands.wait_for_bell(NAMESPACE, "w", WORK, timeout_s=0.001)) for _ in range(2)),
            )
            assert answers == [1] * 20 + [False] * 2
            await client.script_flush()
            assert await runner.run(queue_commands.queue_size(WORK)) == 20 * (round + 1)  # alone, too
