"""Becomes the `conftest.py` of Dramatiq's tests: their fixtures, with our broker on our Redis.

`redis_broker` is ours, and so is `stub_broker`: most of Dramatiq's tests are about what any broker has to do, and use
its in-memory one because that is quick.
"""

import subprocess
import sys
import time
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dramatiq
import dramatiq.worker
import pytest
import redis
from dramatiq import Broker, MessageProxy, Worker
from dramatiq.middleware import Middleware
from dramatiq.rate_limits.backends import RedisBackend as RedisRateLimiterBackend
from dramatiq.results.backends import RedisBackend as RedisResultBackend

from . import BrokerUnderTest
from .common import worker

dramatiq.worker.POST_PROCESS_MESSAGE_RETRY_DELAY_SECS = 0.1  # type: ignore[assignment]  # 5 s, and no variable for it

StartCommand = Callable[..., "subprocess.Popen[bytes]"]


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Expects the tests that do not apply to fail, so that none is listed that would pass."""
    tables = tomllib.loads((Path(__file__).parent / "not_applicable.toml").read_text("utf-8"))
    listed = {
        **{name: pytest.mark.xfail(reason=reason, strict=True) for name, reason in tables["tests"].items()},
        **{name: pytest.mark.skip(reason=reason) for name, reason in tables["by_chance"].items()},
    }
    for item in items:
        if mark := listed.pop(f"{item.path.name}::{item.name}", None):
            item.add_marker(mark)
    modules = {item.path.name: vars(item.module) for item in items}
    if missing := [name for name in listed if name.partition("::")[0] in modules]:
        raise pytest.UsageError(f"listed as not applicable, but there are no such tests: {', '.join(missing)}")
    for names in modules.values():
        assert names.get("RedisBroker", BrokerUnderTest) is BrokerUnderTest
        if "LUA_MAX_UNPACK_SIZE" in names:  # how much Dramatiq's script can take; ours knows no such limit
            names["LUA_MAX_UNPACK_SIZE"] = 50


@pytest.fixture(autouse=True)
def empty_redis() -> None:
    """Each test begins with an empty Redis."""
    with redis.Redis() as client:
        client.flushall()


#: They send a message and then patch what is called after its actor, as if nobody could pick it up in between.
_PATCH_AFTER_SENDING = frozenset(
    f"test_redis_consumer_{what}_can_retry_on_connection_error" for what in ("ack", "nack")
)


class _Unhurried(Middleware):
    """Lets a message lie for as long as Dramatiq's Redis broker would."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        time.sleep(0.3)


@pytest.fixture
def redis_broker(request: pytest.FixtureRequest) -> Iterator[BrokerUnderTest]:
    """Our broker, as the one that actors are declared on."""
    broker = BrokerUnderTest()
    if request.node.name in _PATCH_AFTER_SENDING:
        broker.add_middleware(_Unhurried())
    dramatiq.set_broker(broker)
    broker.emit_after("process_boot")  # as the command does; the time limit's middleware begins with it
    yield broker
    broker.close()


@pytest.fixture
def redis_worker(redis_broker: BrokerUnderTest) -> Iterator[Worker]:
    """A stock worker of our broker."""
    with worker(redis_broker, worker_timeout=100) as stock_worker:
        yield stock_worker


class _DeadLetters(Middleware):
    """Notes who was rejected with what."""

    def __init__(self) -> None:
        self.by_queue: dict[str, list[BaseException | None]] = defaultdict(list)

    def before_nack(self, broker: Broker, message: MessageProxy) -> None:
        self.by_queue[message.queue_name].append(message._exception)


class _RawQueue:
    """What lies in a queue of Redis, past the broker."""

    def __init__(self, queue_name: str) -> None:
        self._key = f"dramatiq:{queue_name}"

    def put(self, body: bytes) -> None:
        """Adds a message as any other program may."""
        with redis.Redis() as client:
            client.hset(f"{self._key}.msgs", "raw", body)
            client.rpush(self._key, "raw")

    def get(self, *, timeout: int) -> Any:
        """Takes the body of the first message."""
        with redis.Redis() as client:
            found = client.blpop([self._key], timeout)
            assert isinstance(found, (list, tuple)), "the queue is empty"
            return client.hget(f"{self._key}.msgs", found[1])


class _Queues(set[str]):
    """The names of queues, with Dramatiq's in-memory broker's way to look behind them."""

    def __getitem__(self, queue_name: str) -> _RawQueue:
        return _RawQueue(queue_name)


class BrokerInPlaceOfStub(BrokerUnderTest):
    """Our broker with what the tests want of Dramatiq's in-memory one: joining raises what rejected a message."""

    def __init__(self) -> None:
        super().__init__()
        self.queues = _Queues()
        self._dead_letters = _DeadLetters()
        self.add_middleware(self._dead_letters)

    def join(  # type: ignore[override]  # the options of the in-memory one
        self, queue_name: str, *, timeout: int | None = None, fail_fast: bool = True
    ) -> None:
        """Waits until nothing of a queue is left to do.

        Raises:
            BaseException: Of the first message that was rejected, unless `fail_fast` is false.
        """
        super().join(queue_name, interval=10, timeout=timeout)
        exceptions = self._dead_letters.by_queue.pop(queue_name, [])
        if fail_fast and exceptions:
            raise exceptions[0] or Exception("a message was rejected")


@pytest.fixture
def stub_broker() -> Iterator[BrokerInPlaceOfStub]:
    """Our broker where their tests would take the in-memory one."""
    broker = BrokerInPlaceOfStub()
    dramatiq.set_broker(broker)
    broker.emit_after("process_boot")
    yield broker
    broker.close()


@pytest.fixture
def stub_worker(stub_broker: BrokerInPlaceOfStub) -> Iterator[Worker]:
    """A stock worker of it."""
    with worker(stub_broker, worker_timeout=100) as stock_worker:
        yield stock_worker


@pytest.fixture
def redis_result_backend() -> RedisResultBackend:
    """Results in our Redis."""
    return RedisResultBackend(client=redis.Redis())


@pytest.fixture
def result_backend(redis_result_backend: RedisResultBackend) -> RedisResultBackend:
    """The same, for tests that would take any."""
    return redis_result_backend


@pytest.fixture
def rate_limiter_backend() -> RedisRateLimiterBackend:
    """Barriers in our Redis."""
    return RedisRateLimiterBackend(client=redis.Redis())


@pytest.fixture
def start_cli() -> Iterator[StartCommand]:
    """Starts the `dramatiq` command on a broker of a test module; ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(broker: str, *, extra_args: Sequence[str] = (), **options: Any) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen([sys.executable, "-m", "dramatiq", broker, *extra_args], **options)
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
