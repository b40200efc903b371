"""A Dramatiq broker on Redis whose messages wake their worker at once and survive it.

The same keys as `dramatiq.brokers.redis.RedisBroker`, so that whatever reads queue lengths goes on working, and other
scripts: see `lua/`. Producers may be stock Dramatiq processes, or anything that can write its message format.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import dramatiq.worker
import redis
from dramatiq.broker import Consumer
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis, q_name
from dramatiq.message import generate_unique_id
from dramatiq.middleware import Middleware

from messaging import queue_commands
from messaging.command import Command
from messaging.command_runner import BlockingRunner
from messaging.consumer import LONGEST_WAIT, BlockingConsumer, DeliveredMessage, closed_when_away
from messaging.delivery import Delivery
from messaging.redis_access.clients import ClientOptions, build_client
from messaging.worker_life import WorkerLife

if TYPE_CHECKING:
    from dramatiq import Worker
    from dramatiq.broker import Broker, MessageProxy
    from dramatiq.message import Message

T = TypeVar("T")

#: Where Dramatiq's own broker looks for Redis as well.
DEFAULT_URL: Final = "redis://127.0.0.1:6379/0"
#: Without a beat for this long, a worker's messages go back to their queues. The fences make a short one safe.
DEFAULT_HEARTBEAT_TIMEOUT = timedelta(seconds=5)
#: Each queue that is consumed blocks one; the others are for the threads.
_CONNECTIONS: Final = 64


class TrunklineBroker(RedisBroker):
    """The broker of every Trunkline process.

    Args:
        client: A blocking client with `decode_responses=False`, which never sends a command twice by itself. Its socket
            time-out must exceed every blocking command. By default one is made, for `url`.
        url: Where Redis is, for a broker without a client; see `messaging.redis_access.url` for the forms.
        namespace: The prefix of all keys.
        hash_tag: Whether the namespace is put in braces, so that all keys share one slot of a Redis Cluster. Without
            them the keys are those of a stock Dramatiq process of this namespace.
        middleware: Dramatiq middleware; none by default, since Trunkline's actors settle their messages themselves.
        heartbeat_timeout: See `DEFAULT_HEARTBEAT_TIMEOUT`.
        dead_letter_notice: A queue and an actor that hears, by a message, of every dead letter; none by default.
    """

    def __init__(
        self,
        client: redis.Redis | None = None,
        *,
        url: str = DEFAULT_URL,
        namespace: str = "trunkline",
        hash_tag: bool = True,
        middleware: Iterable[Middleware] = (),
        heartbeat_timeout: timedelta = DEFAULT_HEARTBEAT_TIMEOUT,
        dead_letter_notice: queue_commands.Notice | None = None,
    ) -> None:
        if client is None:
            tag = namespace.strip("{}")
            client = build_client(
                url, ClientOptions(longest_block=LONGEST_WAIT, max_connections=_CONNECTIONS, hash_tag=tag)
            )
        super().__init__(  # type: ignore[no-untyped-call]
            client=client,
            namespace=f"{{{namespace}}}" if hash_tag and not namespace.startswith("{") else namespace,
            middleware=[_Life(), *middleware],
            heartbeat_timeout=round(heartbeat_timeout / timedelta(milliseconds=1)),
        )
        self.runner = BlockingRunner(client, namespace=self.namespace)
        self.dead_letter_notice = dead_letter_notice
        self.worker_info: dict[str, object] = {}
        """What other processes see of this one's worker; set before it starts."""
        self.tell_supervisor: Callable[[str], None] | None = None
        """Called with the worker's id whenever it tries to beat; set before it starts."""
        self._life: WorkerLife | None = None
        self._life_begins = threading.Lock()  # the stock worker starts its consumers at once, each on its thread
        self._on_beat: list[Callable[[queue_commands.Pulse], None]] = []

    @property
    def life(self) -> WorkerLife:
        """The life of this process's worker; made when first asked for, so that forked children do not share an id."""
        with self._life_begins:
            if self._life is None:
                self._life = WorkerLife(
                    self.runner,
                    heartbeat_timeout=timedelta(milliseconds=self.heartbeat_timeout),
                    info=self.worker_info,
                    tell=self.tell_supervisor,
                )
                for callback in self._on_beat:
                    self._life.on_beat(callback)
            return self._life

    def on_beat(self, callback: Callable[[queue_commands.Pulse], None]) -> None:
        """Calls `callback` at each beat of this process's worker, on the beating thread. Set before it starts."""
        self._on_beat.append(callback)

    @property
    def is_consuming(self) -> bool:
        """Whether a worker of this process has begun to live."""
        return self._life is not None

    def declare_queue(self, queue_name: str) -> None:
        """Declares a queue. There is no delay queue beside it: what is for later waits in Redis."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """A consumer for the stock `dramatiq` command; see `BlockingConsumer`."""
        return BlockingConsumer(self, queue_name, prefetch=prefetch, timeout=timedelta(milliseconds=timeout))

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Enqueues a message, at once or `delay` ms from now.

        While an actor works on this very message (the stock Retries middleware enqueues it again before it is
        acknowledged), it is only remembered: the acknowledgement performs both in one step.

        Raises:
            ConnectionClosed: Redis cannot be reached; the message was not enqueued, or nobody knows whether it was.
        """
        options: dict[str, Any] = {"redis_message_id": generate_unique_id()}
        if delay is not None:
            options["eta"] = current_millis() + delay
        message = message.copy(queue_name=q_name(message.queue_name), options=options)
        self.emit_before("enqueue", message, delay)
        if not (self.is_consuming and BlockingConsumer.remember_retry(message, delay or 0)):
            entry = (message.queue_name, message.options["redis_message_id"], message.encode(), delay)
            with closed_when_away():
                self.runner.run(queue_commands.enqueue([entry]))
            if delay is not None and self.is_consuming:
                self.life.round_due_in(timedelta(milliseconds=delay))
        self.emit_after("enqueue", message, delay)
        return message

    def enqueue_many(self, messages: Iterable[Message[Any]]) -> Sequence[Message[Any]]:
        """Enqueues messages of any queues at once, all of them or none, in one round trip.

        Raises:
            ConnectionClosed: Redis cannot be reached; none was enqueued, or nobody knows whether they were.
        """
        stamped = [
            message.copy(queue_name=q_name(message.queue_name), options={"redis_message_id": generate_unique_id()})
            for message in messages
        ]
        for message in stamped:
            self.emit_before("enqueue", message, None)
        entries = [(one.queue_name, one.options["redis_message_id"], one.encode(), None) for one in stamped]
        if entries:
            with closed_when_away():
                self.runner.run(queue_commands.enqueue(entries))
        for message in stamped:
            self.emit_after("enqueue", message, None)
        return stamped

    def flush(self, queue_name: str) -> None:
        """Drops what waits, is scheduled or is dead in a queue."""
        self.runner.run(queue_commands.purge(q_name(queue_name)))

    def do_qsize(self, queue_name: str) -> int:
        """How many messages of a queue are not done, delayed ones included; what `join` waits on."""
        return self.runner.run(queue_commands.queue_size(q_name(queue_name)))

    def do_ack(self, queue_name: str, deliveries: Sequence[Delivery]) -> int:
        """Ends messages of one worker; answers how many had not been taken away before."""
        acknowledged = self.runner.run(queue_commands.settle(deliveries, "ack"))
        for delivery in deliveries:
            self.life.let_go(delivery)
        return acknowledged

    def do_nack(self, queue_name: str, message: DeliveredMessage) -> int:
        """Puts a message among the dead letters, with its exception; 0 if it had been taken away before."""
        error = repr(message._exception) if message._exception is not None else "its actor rejected it"
        notice = self.dead_letter_notice
        return self.end(message, queue_commands.bury(message.delivery, reason="failed", error=error, notice=notice))

    def end(self, message: DeliveredMessage, command: Command[T]) -> T:
        """Sends what ends this process's ownership of a message; from then on the message takes up no room."""
        answer = self.runner.run(command)
        self.life.let_go(message.delivery)
        return answer

    def _dispatch(self, command: str) -> NoReturn:
        # What a fetch of Dramatiq's own script took would have no delivery token, and an owner that never beats.
        raise AttributeError(f"do_{command}: Dramatiq's own script must not touch these queues")

    def close(self) -> None:
        """Leaves the living, if a worker of this process was among them, and closes the connections."""
        if self._life is not None:
            self._life.stop()
            self._life = None
        self.client.close()


class _Life(Middleware):
    """Ties the life of the stock worker to its boot and shutdown."""

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        # By default the stock worker fetches twice as many messages as it has threads: a slow call would keep the short
        # one behind it from every idle worker. Fetch what can start, unless somebody has set what to fetch.
        if not dramatiq.worker.QUEUE_PREFETCH and worker.queue_prefetch == 2 * worker.worker_threads:
            worker.queue_prefetch = worker.worker_threads

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        BlockingConsumer.begin(message)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        broker.close()
