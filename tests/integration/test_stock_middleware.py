"""Stock Dramatiq on our broker: its worker, its middleware and its producers, and what becomes better for them."""

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import dramatiq
import dramatiq.worker
import pytest
import redis
from dramatiq import Worker, group
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks, Middleware, TimeLimitExceeded, default_middleware
from dramatiq.rate_limits.backends import RedisBackend as RedisRateLimiterBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend as RedisResultBackend

from messaging.broker import TrunklineBroker
from messaging.command import Command
from messaging.command_runner import BlockingRunner
from messaging.consumer import LONGEST_WAIT
from messaging.delivery import current_delivery
from messaging.embedded.embedded_redis import EmbeddedRedis
from messaging.limits import pause_queue
from messaging.queue_commands import Fetched
from messaging.worker_life import ROUNDS_INTERVAL

T = TypeVar("T")

QUEUE = "default"
SOON_MS = ROUNDS_INTERVAL / timedelta(milliseconds=1) / 5
"""Well below what a wait for the next round takes on average."""


def wait_until(condition: Callable[[], bool], *, patience_s: float = 30) -> None:
    give_up_at = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come true"
        time.sleep(0.005)


def now_ms() -> float:
    return time.time() * 1000


class WatchedRunner(BlockingRunner):
    """Notes what is sent, and what of it met an outage."""

    def __init__(self, broker: TrunklineBroker) -> None:
        super().__init__(broker.client, namespace=broker.namespace)
        self.sent: list[str] = []
        self.failed: list[str] = []

    def run(self, command: Command[T]) -> T:
        name = command.script.name if command.script else str(command.words[0])
        self.sent.append(name)
        try:
            return super().run(command)
        except redis.ConnectionError:
            self.failed.append(name)
            raise


class LosesOneReply(BlockingRunner):
    """Carries every command; the first answer that hands messages over gets lost on its way back."""

    lost: Fetched | None = None

    def run(self, command: Command[T]) -> T:
        answer = super().run(command)
        if self.lost is None and isinstance(answer, Fetched) and answer.deliveries:
            self.lost = answer
            raise redis.ConnectionError("the reply was lost")
        return answer


def build_broker(url: str, *more: Middleware) -> TrunklineBroker:
    """Our broker with all middleware that Dramatiq uses by default."""
    broker = TrunklineBroker(url=url, middleware=[*(stock() for stock in default_middleware), *more])
    broker.emit_after("process_boot")  # as the `dramatiq` command does; the time limit's middleware begins with it
    return broker


@pytest.fixture
def broker(redis_url: str) -> Iterator[TrunklineBroker]:
    broker = build_broker(redis_url)
    yield broker
    broker.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stock worker's pauses after an outage, which are seconds, are short."""
    monkeypatch.setattr(dramatiq.worker, "POST_PROCESS_MESSAGE_RETRY_DELAY_SECS", 0.05)
    monkeypatch.setattr(dramatiq.worker, "CONSUMER_RESTART_DELAY_SECS", 0.05)


@contextmanager
def working(broker: TrunklineBroker, *, threads: int = 4) -> Iterator[Worker]:
    """A stock worker."""
    worker = Worker(broker, worker_threads=threads, worker_timeout=100)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop(timeout=5000)


def key(suffix: str) -> str:
    return f"{{trunkline}}:{QUEUE}{suffix}"


def dead_letters(client: redis.Redis) -> list[dict[str, str]]:
    """The causes of the queue's dead letters."""
    ids: Any = client.zrange(key(".XQ"), 0, -1)
    causes: Any = client.hmget(key(".XQ.causes"), ids) if ids else []
    return [json.loads(cause) for cause in causes]


def wait_until_done(broker: TrunklineBroker, worker: Worker) -> None:
    """Waits for the end of all work, and finds that nothing is left behind."""
    broker.join(QUEUE, interval=5, timeout=30_000)
    worker.join()
    assert broker.life.held_ids(QUEUE) == []
    assert not list(broker.client.scan_iter("{trunkline}:__acks__.*"))


@pytest.mark.usefixtures("impatient")
def test_a_retry_that_meets_an_outage_is_not_lost(tmp_path: Path) -> None:
    attempts: list[int] = []
    began, may_fail = threading.Event(), threading.Event()
    with EmbeddedRedis(tmp_path / "redis") as server:
        broker = build_broker(server.url)
        broker.runner = runner = WatchedRunner(broker)

        @dramatiq.actor(broker=broker, min_backoff=1, max_backoff=1, max_retries=1)
        def fragile() -> None:
            attempts.append(len(attempts))
            if len(attempts) == 1:
                began.set()
                may_fail.wait(30)
                raise RuntimeError("the first attempt")

        with working(broker) as worker:
            fragile.send()
            assert began.wait(30)
            server.stop()
            may_fail.set()
            wait_until(lambda: "retry" in runner.failed)  # the attempt failed, and Redis could not be told
            server.start()
            wait_until(lambda: len(attempts) == 2)
            wait_until_done(broker, worker)
            assert dead_letters(broker.client) == []


def test_a_retry_and_the_acknowledgement_are_one_step(broker: TrunklineBroker) -> None:
    broker.runner = runner = WatchedRunner(broker)
    attempts: list[int] = []

    @dramatiq.actor(broker=broker, min_backoff=1, max_backoff=1)
    def fails_once() -> None:
        attempts.append(len(attempts))
        if len(attempts) == 1:
            raise RuntimeError("the first attempt")

    with working(broker) as worker:
        fails_once.send()
        wait_until_done(broker, worker)
    moves = [name for name in runner.sent if name in ("enqueue", "retry", "acknowledge")]
    assert (attempts, moves) == ([0, 1], ["enqueue", "retry", "acknowledge"])


def test_a_message_that_failed_for_good_is_a_dead_letter_with_its_cause(
    broker: TrunklineBroker, client: redis.Redis
) -> None:
    @dramatiq.actor(broker=broker, min_backoff=1, max_backoff=1, max_retries=2)
    def fails() -> None:
        raise RuntimeError("again")

    with working(broker) as worker:
        fails.send()
        wait_until_done(broker, worker)
    assert dead_letters(client) == [{"reason": "failed", "error": "RuntimeError('again')"}]


def test_what_is_delayed_waits_in_redis_and_in_no_worker(broker: TrunklineBroker, client: redis.Redis) -> None:
    ran: list[str] = []

    @dramatiq.actor(broker=broker)
    def note(name: str) -> None:
        ran.append(name)

    with working(broker) as worker:
        for _ in range(20):
            note.send_with_options(args=("later",), delay=3_600_000)
        note.send("now")
        wait_until(lambda: ran == ["now"])
        assert list(worker.consumers) == [QUEUE]
        assert worker.consumers[QUEUE].delay_queue.empty()
        wait_until(lambda: broker.life.held_ids(QUEUE) == [])
        assert (client.zcard(key(":schedule")), client.hlen(key(".msgs"))) == (20, 0)
        assert broker.do_qsize(QUEUE) == 20


def test_what_is_delayed_starts_within_milliseconds_of_its_time(broker: TrunklineBroker) -> None:
    late_ms: list[float] = []

    @dramatiq.actor(broker=broker)
    def note(due_ms: float) -> None:
        late_ms.append(now_ms() - due_ms)

    with working(broker) as worker:
        for delay_ms in range(300, 1050, 83):
            note.send_with_options(args=(now_ms() + delay_ms,), delay=delay_ms)
        wait_until_done(broker, worker)
    assert min(late_ms) >= -1
    assert statistics.median(late_ms) < SOON_MS


@pytest.mark.parametrize(("prefetch", "held"), [(0, 2), (1, 1), (5, 5)])
def test_a_worker_holds_as_many_messages_as_it_has_threads_or_as_was_set(
    broker: TrunklineBroker, monkeypatch: pytest.MonkeyPatch, prefetch: int, held: int
) -> None:
    monkeypatch.setattr(dramatiq.worker, "QUEUE_PREFETCH", prefetch)  # dramatiq_queue_prefetch, once it is imported
    seen: list[int] = []
    may_end = threading.Event()

    @dramatiq.actor(broker=broker)
    def note() -> None:
        may_end.wait(30)
        seen.append(len(broker.life.held_ids(QUEUE)))

    for _ in range(12):
        note.send()
    with working(broker, threads=2) as worker:
        wait_until(lambda: len(broker.life.held_ids(QUEUE)) == held)
        may_end.set()
        wait_until_done(broker, worker)
    assert max(seen) == held


@pytest.mark.parametrize("prefetch", [0, 10])
def test_a_worker_with_one_thread_keeps_the_order(
    broker: TrunklineBroker, monkeypatch: pytest.MonkeyPatch, prefetch: int
) -> None:
    monkeypatch.setattr(dramatiq.worker, "QUEUE_PREFETCH", prefetch)
    ran: list[int] = []

    @dramatiq.actor(broker=broker)
    def note(number: int) -> None:
        ran.append(number)

    with working(broker, threads=1) as worker:
        for number in range(50):
            note.send(number)
        wait_until_done(broker, worker)
    assert ran == list(range(50))


@pytest.mark.usefixtures("impatient")
def test_a_consumer_that_is_started_again_counts_what_the_one_before_it_fetched(broker: TrunklineBroker) -> None:
    seen: list[int] = []
    may_end = threading.Event()

    @dramatiq.actor(broker=broker)
    def note() -> None:
        may_end.wait(30)
        seen.append(len(broker.life.held_ids(QUEUE)))

    for _ in range(12):
        note.send()
    with working(broker, threads=2) as worker:
        wait_until(lambda: len(broker.life.held_ids(QUEUE)) == 2)
        thread = worker.consumers[QUEUE]
        first = thread.consumer
        thread.pause()
        assert thread.paused_event.wait(30)
        thread.resume()
        wait_until(lambda: thread.consumer is not first)
        may_end.set()
        wait_until_done(broker, worker)
    assert (len(seen), max(seen)) == (12, 2)


def test_a_stock_worker_waits_in_redis_while_its_queue_is_paused(broker: TrunklineBroker) -> None:
    broker.runner = runner = WatchedRunner(broker)
    ran: list[int] = []

    @dramatiq.actor(broker=broker)
    def note() -> None:
        ran.append(runner.sent.count("fetch"))

    broker.runner.run(pause_queue(QUEUE, paused=True))
    note.send()
    with working(broker) as worker:
        wait_until(lambda: runner.sent.count("beat") >= 3)
        broker.runner.run(pause_queue(QUEUE, paused=False))
        wait_until_done(broker, worker)
    (fetches,) = ran
    assert fetches <= runner.sent.count("beat") + 2  # it does not ask over and over


def test_a_message_that_cannot_be_decoded_does_not_disturb_its_neighbours(
    broker: TrunklineBroker, client: redis.Redis
) -> None:
    ran: list[int] = []

    @dramatiq.actor(broker=broker)
    def note(number: int) -> None:
        ran.append(number)

    for number in range(20):
        if number == 10:
            client.hset(key(".msgs"), "garbage", "{")
            client.rpush(key(""), "garbage")
        note.send(number)
    with working(broker) as worker:
        wait_until(lambda: worker.consumers[QUEUE].consumer is not None)
        consumer = worker.consumers[QUEUE].consumer
        wait_until_done(broker, worker)
        assert worker.consumers[QUEUE].consumer is consumer  # it went on
    assert sorted(ran) == list(range(20))
    (cause,) = dead_letters(client)
    assert cause["reason"] == "undecodable"


@pytest.mark.usefixtures("impatient")
def test_messages_whose_delivery_got_lost_on_its_way_are_delivered_again(broker: TrunklineBroker) -> None:
    broker.runner = runner = LosesOneReply(broker.client, namespace=broker.namespace)
    ran: list[tuple[int, int]] = []

    @dramatiq.actor(broker=broker)
    def note(number: int) -> None:
        ran.append((number, current_delivery().crashes))

    for number in range(3):
        note.send(number)
    with working(broker) as worker:
        wait_until(lambda: runner.lost is not None)
        name = broker.life.worker
        wait_until_done(broker, worker)
        assert broker.life.worker == name  # it lives on, and nobody had to die for them
    assert runner.lost is not None
    assert len(runner.lost.deliveries) == 3
    assert sorted(ran) == [(number, 0) for number in range(3)]


def test_a_stock_producer_wakes_a_waiting_worker(broker: TrunklineBroker, client: redis.Redis) -> None:
    producer: Any = RedisBroker(client=client, namespace=broker.namespace, middleware=[])  # type: ignore[no-untyped-call]
    took_ms: list[float] = []

    @dramatiq.actor(broker=broker)
    def note(sent_ms: float) -> None:
        took_ms.append(now_ms() - sent_ms)

    def somebody_waits() -> bool:
        waiting: Any = client.info("clients")
        return bool(waiting["blocked_clients"])

    with working(broker) as worker:
        for number in range(9):
            wait_until(somebody_waits)
            producer.enqueue(note.message(now_ms()))
            wait_until(lambda sent=number + 1: len(took_ms) == sent)  # type: ignore[misc]  # mypy sees no default
        wait_until_done(broker, worker)
    assert statistics.median(took_ms) < LONGEST_WAIT / timedelta(milliseconds=1) / 10


def test_what_a_stock_producer_delays_starts_within_milliseconds_of_its_time(
    broker: TrunklineBroker, client: redis.Redis
) -> None:
    producer: Any = RedisBroker(client=client, namespace=broker.namespace, middleware=[])  # type: ignore[no-untyped-call]
    late_ms: list[float] = []

    @dramatiq.actor(broker=broker)
    def note(due_ms: float) -> None:
        late_ms.append(now_ms() - due_ms)

    def median_late_ms() -> float:
        late_ms.clear()
        for delay_ms in range(700, 1400, 83):
            producer.enqueue(note.message(now_ms() + delay_ms), delay=delay_ms)
        wait_until(lambda: client.exists(key(".DQ"), key(".DQ.msgs")) == 0)  # taken over, before they are due
        assert late_ms == []
        wait_until_done(broker, worker)
        assert min(late_ms) >= -1
        return statistics.median(late_ms)

    with working(broker) as worker:
        # The machine may have stood still in one round, or in two.
        assert any(median_late_ms() < SOON_MS for _ in range(3))


def test_results_of_a_pipeline_are_stored(redis_url: str, client: redis.Redis) -> None:
    backend = RedisResultBackend(client=client)
    broker = build_broker(redis_url, Results(backend=backend))  # type: ignore[no-untyped-call]

    @dramatiq.actor(broker=broker, store_results=True)
    def add(first: int, second: int) -> int:
        return first + second

    with working(broker):
        sum_of_three: Any = dramatiq.pipeline([add.message(1, 2), add.message_with_options(args=(3,))], broker=broker)
        sum_of_three.run()
        results = [message.get_result(backend=backend, block=True) for message in sum_of_three.messages]
    assert results == [3, 6]


def test_a_group_calls_back_once_after_its_last_member(redis_url: str, client: redis.Redis) -> None:
    broker = build_broker(redis_url, GroupCallbacks(RedisRateLimiterBackend(client=client)))
    ran: list[str] = []

    @dramatiq.actor(broker=broker)
    def member() -> None:
        ran.append("member")

    @dramatiq.actor(broker=broker)
    def callback() -> None:
        ran.append("callback")

    members: Any = group([member.message() for _ in range(8)], broker=broker)  # type: ignore[no-untyped-call]
    members.add_completion_callback(callback.message())
    with working(broker) as worker:
        members.run()
        wait_until(lambda: "callback" in ran)
        wait_until_done(broker, worker)
    assert ran == ["member"] * 8 + ["callback"]


def test_a_time_limit_ends_an_actor_and_its_message_is_a_dead_letter(
    broker: TrunklineBroker, client: redis.Redis
) -> None:
    hit = threading.Event()

    @dramatiq.actor(broker=broker, time_limit=100, max_retries=0)
    def endless() -> None:
        try:
            while True:
                time.sleep(0.001)
        except TimeLimitExceeded:
            hit.set()
            raise

    with working(broker) as worker:
        endless.send()
        wait_until_done(broker, worker)
    assert hit.is_set()
    (cause,) = dead_letters(client)
    assert cause["error"].startswith("TimeLimitExceeded")
