"""The contenders of the messaging benchmarks: workers of one broker, with a Redis of their own.

- `ours` is our broker under our event-loop worker, as `trunkline worker` runs it;
- `ours_threads` is our broker under the standard `dramatiq` command;
- `stock` is Dramatiq's Redis broker under that command, with its defaults.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self
from uuid import uuid4

import redis
from dramatiq import Broker, Message
from dramatiq.brokers.redis import RedisBroker

from benchmarks.contenders import message_actors
from benchmarks.contenders.contender import REDIS, SOCKET_TIMEOUT_S
from benchmarks.happenings import Happenings, What
from benchmarks.measured_processes import MeasuredProcesses
from messaging.broker import TrunklineBroker
from messaging.embedded.embedded_redis import EmbeddedRedis

Kind = Literal["ours", "ours_threads", "stock"]
KINDS: Final[Sequence[Kind]] = ("ours", "ours_threads", "stock")
SLOTS: Final = 8
"""Messages in flight in a process, or its threads; Dramatiq's default."""
OURS_HEARTBEAT_TIMEOUT: Final = timedelta(seconds=5)
"""Our default."""

_START_PATIENCE_S: Final = 60.0
_LOOK_AGAIN_S: Final = 0.02
_FILLED_AT_ONCE: Final = 500
_PLACEHOLDER: Final = "arguments"
_PLACEHOLDER_JSON: Final = b'["arguments"]'
_ACTORS: Final = "benchmarks.contenders.message_actors"


class MessageContender:
    """Started and stopped as a `with` block; its workers are started one by one.

    Args:
        kind: Whose broker and worker.
        folder: For the files of Redis, the logs and what happens; must not exist.
        limit_per_s: What the actor `limited` of the stock broker lets through.
    """

    def __init__(self, kind: Kind, folder: Path, *, limit_per_s: int | None = None) -> None:
        self.kind = kind
        self._folder = folder
        self._limit_per_s = limit_per_s
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._server = self._stack.enter_context(EmbeddedRedis(self._folder / "redis", port=0))
        self.processes = self._stack.enter_context(MeasuredProcesses(self._folder))
        self.processes.adopt(REDIS, self._server.pid)
        self.redis: redis.Redis = self._stack.enter_context(
            redis.Redis.from_url(self._server.url, socket_timeout=SOCKET_TIMEOUT_S)
        )
        self.happenings = Happenings(self._folder / "happenings")
        self._stack.callback(self.happenings.close)
        if self.kind == "stock":
            self.broker: Broker = RedisBroker(url=self._server.url, middleware=[])  # type: ignore[no-untyped-call]
            self.namespace = "dramatiq"
        else:
            ours = TrunklineBroker(url=self._server.url, heartbeat_timeout=OURS_HEARTBEAT_TIMEOUT)
            self.broker, self.namespace = ours, ours.namespace
        self._stack.callback(self.broker.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def environment(self) -> dict[str, str]:
        """What its processes are told, besides their queues."""
        environment = {
            message_actors.REDIS_URL: self._server.url,
            message_actors.HAPPENINGS: str(self._folder / "happenings"),
            message_actors.HEARTBEAT_TIMEOUT_S: str(OURS_HEARTBEAT_TIMEOUT.total_seconds()),
        }
        if self._limit_per_s is not None:
            environment[message_actors.LIMIT_PER_S] = str(self._limit_per_s)
        return environment

    def start_workers(
        self, *workers: tuple[str, Sequence[str]], slots: int = SLOTS, environment: Mapping[str, str] | None = None
    ) -> None:
        """Starts processes, each `(name, queues)`, and waits until all are consuming."""
        for name, queues in workers:
            own = {message_actors.QUEUES: ",".join(queues), message_actors.SLOTS: str(slots)}
            self.processes.start(name, self._command(slots), {**self.environment, **own, **(environment or {})})
        self.happenings.wait(What.UP, len(workers), timeout_s=_START_PATIENCE_S)
        if self.kind == "ours":  # which says that it is up before it is registered
            key, living = f"{self.namespace}:__workers__", len(self.processes.living)
            self.until(lambda: int(self.redis.zcard(key)) >= living, "the workers' registration")
        self.processes.all_are_up()

    def _command(self, slots: int) -> Sequence[str]:
        if self.kind == "ours":
            return ["-m", "benchmarks.contenders.message_loop"]
        setup = f"{_ACTORS}:setup_{'stock' if self.kind == 'stock' else 'ours'}"
        return ["-m", "dramatiq", setup, "--processes", "1", "--threads", str(slots)]

    def enqueue(self, queue: str, actor: str, *args: object) -> None:
        """Enqueues one message as a producer would."""
        self.broker.enqueue(_message(queue, actor, args))

    def fill(self, queue: str, actor: str, arguments: Iterable[Sequence[object]]) -> None:
        """Enqueues many messages at once, as fast as it goes: writes the same as both brokers would."""
        key = f"{self.namespace}:{queue}"
        template = _message(queue, actor, [_PLACEHOLDER]).copy(options={"redis_message_id": str(uuid4())})
        id_of_template, body = template.options["redis_message_id"].encode(), template.encode()
        waiting = iter(arguments)
        while chunk := list(islice(waiting, _FILLED_AT_ONCE)):
            bodies: dict[bytes, bytes] = {}
            for args in chunk:
                id = str(uuid4()).encode()
                own = body.replace(id_of_template, id).replace(template.message_id.encode(), str(uuid4()).encode())
                bodies[id] = own.replace(_PLACEHOLDER_JSON, json.dumps(args, separators=(",", ":")).encode())
            self.redis.hset(f"{key}.msgs", mapping=bodies)  # type: ignore[arg-type]  # its types know text only
            self.redis.rpush(key, *bodies)

    def waiting(self, queue: str) -> int:
        """How many messages nobody has fetched."""
        return int(self.redis.llen(f"{self.namespace}:{queue}"))

    def not_done(self, queue: str) -> int:
        """How many messages wait or are being processed."""
        return int(self.redis.hlen(f"{self.namespace}:{queue}.msgs"))

    def drop_waiting(self, queue: str) -> None:
        """Empties a queue whose messages take no time; returns when nothing is left of it."""
        key = f"{self.namespace}:{queue}"
        taken: Any = self.redis.lpop(key, self.waiting(queue) or 1) or ()
        for start in range(0, len(taken), _FILLED_AT_ONCE):
            self.redis.hdel(f"{key}.msgs", *taken[start : start + _FILLED_AT_ONCE])
        self.until(lambda: self.not_done(queue) == 0, f"the end of what {queue} has in flight")

    def until(self, condition: Callable[[], bool], what: str, *, timeout_s: float = _START_PATIENCE_S) -> None:
        """Waits for a condition.

        Raises:
            TimeoutError: It did not come true; with what the processes wrote.
        """
        give_up_at = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{what}: not within {timeout_s:.0f} s\n{self.processes.logs()}")
            time.sleep(_LOOK_AGAIN_S)


def _message(queue: str, actor: str, args: Sequence[object]) -> Message[Any]:
    return Message(queue_name=queue, actor_name=actor, args=tuple(args), kwargs={}, options={})
