"""Now and then it is looked whether each message stands somewhere, and each record is one of a message."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis

from messaging import queue_commands
from messaging.delivery import Delivery
from messaging.limits import QueueLimits, TenantLimits, set_queue_limits, set_tenant_limits
from messaging.queue_commands import Mended
from tests.promises import assert_promises
from tests.simulation import NAMESPACE, Simulation
from tests.snapshot import Snapshot

WORK = "errands"
QUEUE = f"{NAMESPACE}:{WORK}"
FAIR = QueueLimits(fair=True)


@pytest.fixture
def simulation(redis_url: str) -> Iterator[Simulation]:
    """An empty Redis, whose queues are in order also after the test."""
    with redis.Redis.from_url(redis_url) as client:
        yield Simulation(client)
        assert_promises(client, quiescent=False)


def put(simulation: Simulation, *ids: str, lane: str | None = None, delay_ms: int | None = None) -> None:
    simulation.run(queue_commands.enqueue([(WORK, id, b"{}", delay_ms) for id in ids], lane=lane))


def fetch(simulation: Simulation, worker: str, room: int = 10) -> list[Delivery]:
    return list(simulation.run(queue_commands.fetch(worker, WORK, room)).deliveries)


def fetched_ids(simulation: Simulation, worker: str) -> list[str]:
    return [delivery.id for delivery in fetch(simulation, worker)]


def mend(simulation: Simulation) -> Mended:
    return simulation.run(queue_commands.mend(interval=timedelta()))


@pytest.mark.parametrize("limits", [QueueLimits(), FAIR])
def test_what_is_in_order_is_left_alone(simulation: Simulation, limits: QueueLimits) -> None:
    simulation.run(set_queue_limits(WORK, limits))
    worker = simulation.hire()
    put(simulation, "held", "broken", lane="i:ann")
    held, broken = fetch(simulation, worker)
    simulation.run(queue_commands.settle([broken], "break", 60_000))
    put(simulation, "waits", "waits too", lane="b:bob")
    put(simulation, "later", lane="i:ann", delay_ms=60_000)
    simulation.run(queue_commands.wait_for_message(NAMESPACE, worker, WORK, timeout_s=1))
    simulation.redis.sadd(f"{NAMESPACE}:__acks__.stock.{WORK}", "of a stock worker")
    simulation.redis.zadd(f"{NAMESPACE}:__heartbeats__", {"stock": 1e15})
    simulation.redis.hset(f"{QUEUE}.msgs", "of a stock worker", b"{}")
    before = Snapshot.take(simulation.redis, NAMESPACE).keys
    assert [mend(simulation), mend(simulation)] == [(0, 0), (0, 0)]
    after = Snapshot.take(simulation.redis, NAMESPACE).keys
    for name in before.keys() | after.keys() - {"__recovery__"}:
        assert before[name].content == after[name].content or name == "__recovery__", name
    assert simulation.run(queue_commands.settle([held], "ack")) == 1


@pytest.mark.parametrize("limits", [QueueLimits(), FAIR])
def test_a_message_that_stands_nowhere_goes_back_at_the_second_look(
    simulation: Simulation, limits: QueueLimits
) -> None:
    simulation.run(set_queue_limits(WORK, limits))
    put(simulation, "lost", lane="i:ann")
    simulation.redis.delete(QUEUE, f"{QUEUE}:lane:i:ann", f"{QUEUE}:turns:i")
    put(simulation, "waits", lane="b:bob")
    assert mend(simulation) == (0, 0), "whoever enqueues may be in the middle of it"
    assert mend(simulation) == (1, 0)
    assert mend(simulation) == (0, 0)
    assert fetched_ids(simulation, simulation.hire()) == ["lost", "waits"]


def test_a_message_that_has_arrived_by_the_second_look_stands_there_once(simulation: Simulation) -> None:
    put(simulation, "on its way")
    simulation.redis.delete(QUEUE)
    assert mend(simulation) == (0, 0)
    simulation.redis.rpush(QUEUE, "on its way")
    assert mend(simulation) == (0, 0)
    assert fetched_ids(simulation, simulation.hire()) == ["on its way"]


def test_a_scheduled_message_without_a_time_is_due(simulation: Simulation) -> None:
    put(simulation, "later", delay_ms=60_000)
    simulation.redis.delete(f"{QUEUE}:schedule")
    assert mend(simulation) == (1, 0)
    simulation.beat(simulation.hire())
    assert fetched_ids(simulation, simulation.hire()) == ["later"]


def test_a_place_that_nobody_holds_is_free_again(simulation: Simulation) -> None:
    simulation.run(set_queue_limits(WORK, QueueLimits(max_in_flight=1)))
    worker = simulation.hire()
    simulation.redis.hset(f"{QUEUE}:deliveries", "gone", "1@1")
    put(simulation, "waits")
    assert fetched_ids(simulation, worker) == []
    assert mend(simulation) == (0, 1)
    assert simulation.run(queue_commands.wait_for_bell(NAMESPACE, worker, WORK, timeout_s=1)), "nobody was rung"
    assert fetched_ids(simulation, worker) == ["waits"]


def test_a_tenants_place_that_nobody_holds_is_free_again(simulation: Simulation) -> None:
    simulation.run(set_queue_limits(WORK, FAIR))
    simulation.run(set_tenant_limits(WORK, "*", TenantLimits(max_in_flight=2)))
    worker = simulation.hire()
    put(simulation, "held", "waits", "waits too", lane="i:ann")
    (held,) = fetch(simulation, worker, room=1)
    simulation.redis.hset(f"{QUEUE}:tenant_in_flight", "ann", 2)
    assert fetched_ids(simulation, worker) == []
    assert mend(simulation) == (0, 1)
    assert fetched_ids(simulation, worker) == ["waits"], "one is held"
    assert simulation.run(queue_commands.settle([held], "ack")) == 1
    assert fetched_ids(simulation, worker) == ["waits too"]


def test_records_of_messages_that_are_gone_are_dropped(simulation: Simulation) -> None:
    simulation.redis.hset(f"{QUEUE}:crashes", "gone", "1|w,1,2")
    simulation.redis.hset(f"{QUEUE}:lane_of", "gone", "i:ann")
    simulation.redis.sadd(f"{NAMESPACE}:__queues__", WORK)
    assert mend(simulation) == (0, 2)
    assert not simulation.redis.exists(f"{QUEUE}:crashes", f"{QUEUE}:lane_of")


def test_what_an_upstream_has_read_does_not_come_back_to_it(simulation: Simulation) -> None:
    simulation.run(queue_commands.enqueue([("reply.shop", "answer", b"{}", None)]))
    simulation.redis.lpop(f"{NAMESPACE}:reply.shop")  # and its body is left where it is
    assert [mend(simulation), mend(simulation)] == [(0, 0), (0, 0)]
    assert not simulation.redis.exists(f"{NAMESPACE}:reply.shop")
    simulation.redis.delete(f"{NAMESPACE}:reply.shop.msgs")


def test_only_one_looks_in_an_interval(simulation: Simulation) -> None:
    simulation.redis.hset(f"{QUEUE}:crashes", "gone", "1|w,1,2")
    simulation.redis.sadd(f"{NAMESPACE}:__queues__", WORK)
    assert simulation.run(queue_commands.mend(interval=timedelta(minutes=1))) == (0, 1)
    simulation.redis.hset(f"{QUEUE}:crashes", "gone", "1|w,1,2")
    assert simulation.run(queue_commands.mend(interval=timedelta(minutes=1))) == (0, 0)
    assert mend(simulation) == (0, 1)
