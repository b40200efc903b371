"""The actors of the messaging benchmarks, and the brokers under the standard `dramatiq` command.

- `empty` does nothing;
- `work` notes when it starts, takes as long as it is told, and notes its end;
- `limited` is `work` behind a limiter of Dramatiq's, the way its documentation shows.

Plain functions here, coroutine functions in `message_loop`.
"""

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

import dramatiq
from dramatiq.broker import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import RateLimitExceeded
from dramatiq.middleware import Middleware, default_middleware
from dramatiq.rate_limits import WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend

from benchmarks.happenings import HappeningsWriter, What
from messaging.broker import TrunklineBroker

REDIS_URL: Final = "BENCHMARK_REDIS_URL"
HAPPENINGS: Final = "BENCHMARK_HAPPENINGS"
QUEUES: Final = "BENCHMARK_QUEUES"
SLOTS: Final = "BENCHMARK_SLOTS"
LIMIT_PER_S: Final = "BENCHMARK_LIMIT_PER_S"
HEARTBEAT_TIMEOUT_S: Final = "BENCHMARK_HEARTBEAT_TIMEOUT_S"


def queues() -> list[str]:
    """The queues that this process serves."""
    return os.environ[QUEUES].split(",")


def writer() -> HappeningsWriter:
    """Where this process writes down what happens."""
    return HappeningsWriter(Path(os.environ[HAPPENINGS]))


class _SaysItIsUp(Middleware):
    def after_worker_boot(self, broker: Broker, worker: object) -> None:
        writer().note(What.UP)


def setup_stock() -> None:
    """Dramatiq's own broker, with whatever it is by default."""
    broker = RedisBroker(url=os.environ[REDIS_URL])  # type: ignore[no-untyped-call]  # Dramatiq has no types here
    broker.add_middleware(_SaysItIsUp())
    _declare_actors(broker)


def setup_ours() -> None:
    """Ours, with the same middleware."""
    middleware = [kind() for kind in default_middleware]
    broker = TrunklineBroker(
        url=os.environ[REDIS_URL],
        middleware=[*middleware, _SaysItIsUp()],
        heartbeat_timeout=timedelta(seconds=float(os.environ[HEARTBEAT_TIMEOUT_S])),
    )
    _declare_actors(broker)


def _declare_actors(broker: Broker) -> None:
    dramatiq.set_broker(broker)
    served, happenings = queues(), writer()

    @dramatiq.actor(broker=broker, queue_name=served[0])
    def empty() -> None:
        pass

    @dramatiq.actor(broker=broker, queue_name=served[0])
    def work(number: int, takes_s: float) -> None:
        happenings.note(What.START, number)
        if takes_s:
            time.sleep(takes_s)
        happenings.note(What.END, number)

    for queue in served[1:]:
        broker.declare_queue(queue)
    if LIMIT_PER_S in os.environ:
        backend = RedisBackend(client=broker.client)  # type: ignore[attr-defined]  # both are Redis brokers
        limiter = WindowRateLimiter(backend, "limited", limit=int(os.environ[LIMIT_PER_S]))  # type: ignore[no-untyped-call]

        @dramatiq.actor(broker=broker, queue_name=served[0], max_retries=None)
        def limited(number: int, takes_s: float) -> None:
            happenings.note(What.ATTEMPT, number)
            with limiter.acquire(raise_on_failure=False) as may_start:
                if not may_start:
                    happenings.note(What.REFUSED, number)
                    raise RateLimitExceeded("as the limiter would")  # type: ignore[no-untyped-call]
                work(number, takes_s)
