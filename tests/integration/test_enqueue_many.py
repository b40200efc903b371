"""Messages of several queues are handed in at once: all of them or none, in one round trip."""

from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq import Broker, Message, Worker
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Middleware

from messaging.broker import TrunklineBroker

QUEUES = ("one", "two", "three")


class Enqueued(Middleware):
    """Notes what middleware hears."""

    def __init__(self) -> None:
        self.before: list[str] = []
        self.after: list[str] = []

    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:
        self.before.append(message.queue_name)

    def after_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:
        self.after.append(message.queue_name)


@pytest.fixture
def heard() -> Enqueued:
    return Enqueued()


@pytest.fixture
def broker(redis_url: str, heard: Enqueued) -> Iterator[TrunklineBroker]:
    broker = TrunklineBroker(url=redis_url, middleware=[heard])
    yield broker
    broker.close()


def declare(broker: TrunklineBroker, ran: list[tuple[str, int]]) -> list[Message[Any]]:
    """An actor on each queue, and two messages for each."""
    messages: list[Message[Any]] = []
    for queue in QUEUES:

        @dramatiq.actor(broker=broker, queue_name=queue, actor_name=f"on_{queue}")
        def run(number: int, queue: str = queue) -> None:
            ran.append((queue, number))

        messages += [run.message(number) for number in (1, 2)]
    return messages


def test_all_of_them_run(broker: TrunklineBroker, heard: Enqueued) -> None:
    ran: list[tuple[str, int]] = []
    messages = declare(broker, ran)
    before = broker.client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    enqueued = broker.enqueue_many(messages)
    stats = broker.client.info("commandstats")
    assert stats.get("cmdstat_evalsha", {"calls": 0})["calls"] - before <= 1
    assert [message.message_id for message in enqueued] == [message.message_id for message in messages]
    assert heard.before == heard.after == [queue for queue in QUEUES for _ in range(2)]
    worker = Worker(broker, worker_timeout=100, worker_threads=2)
    worker.start()
    try:
        for queue in QUEUES:
            broker.join(queue, interval=5, timeout=30_000)
    finally:
        worker.stop()
    assert sorted(ran) == sorted((queue, number) for queue in QUEUES for number in (1, 2))


def test_none_is_none(broker: TrunklineBroker) -> None:
    assert broker.enqueue_many([]) == []


def test_without_redis_none_is_enqueued_and_the_caller_hears_so() -> None:
    broker = TrunklineBroker(redis.Redis(port=1))
    ran: list[tuple[str, int]] = []
    with pytest.raises(ConnectionClosed):
        broker.enqueue_many(declare(broker, ran))
