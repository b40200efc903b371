"""How a worker of the stock `dramatiq` command gets its messages: one blocked connection per queue.

The event-loop worker does the same for a loop; both send the commands of `queue_commands`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.common import q_name
from dramatiq.errors import ConnectionClosed, DecodeError
from dramatiq.message import Message

from messaging import queue_commands
from messaging.command import Command
from messaging.command_runner import TRANSIENT
from messaging.delivery import Delivery, set_current_delivery

if TYPE_CHECKING:
    from collections.abc import Iterable

    from messaging.broker import TrunklineBroker

_log = structlog.get_logger(__name__)

#: How long a blocking wait may last: less than the heartbeat time-out, so that no wait outlives its worker.
LONGEST_WAIT = timedelta(seconds=1)
#: A wait for the rate that is shorter than this is slept, not waited for in Redis.
SHORT_WAIT_S = 0.02
#: A consumer without a free slot looks again this often; slots are freed by threads that do not tell.
_NO_ROOM_PAUSE_S = 0.0005


def decode_message(delivery: Delivery) -> Message[Any]:
    """The Dramatiq message in a delivery, as its actor shall see it: on its own queue, with nothing left to wait for.

    Raises:
        DecodeError: The body is no message.
    """
    message = Message.decode(delivery.body)
    if not isinstance(message.options, dict) or not isinstance(message.kwargs, dict):
        raise DecodeError("options and kwargs of a message are objects", delivery.body, None)
    options = {**message.options, "redis_message_id": delivery.id}
    options.pop("eta", None)
    delivery.message_id = message.message_id
    delivery.enqueued_us = int(options.get("enqueued_us") or message.message_timestamp * 1000)
    return Message(
        queue_name=q_name(delivery.queue),
        actor_name=message.actor_name,
        args=message.args,
        kwargs=message.kwargs,
        options=options,
        message_id=message.message_id,
        message_timestamp=message.message_timestamp,
    )


class TooManyCrashes(Exception):
    """A message has ended with its worker too often."""


def refuse_crashed(delivery: Delivery) -> None:
    """Refuses a message that crashes whoever works on it.

    Trunkline's own actors answer such a message at `MAX_CRASHES`, with an outcome; this is for what they cannot answer,
    and for other actors.

    Raises:
        TooManyCrashes: It shall not be run again.
    """
    if delivery.crashes > queue_commands.MAX_CRASHES:
        raise TooManyCrashes(f"{delivery.crashes} deliveries of it died or broke, the last one: {delivery.last_crash}")


class DeliveredMessage(MessageProxy):
    """A message on its way through a stock worker, with the delivery it came in."""

    def __init__(self, message: Message[Any], delivery: Delivery) -> None:
        super().__init__(message)
        self.delivery = delivery
        self.retry: tuple[Message[Any], int] | None = None
        """The next attempt and its delay in ms, if the middleware asked for one."""


class BlockingConsumer(Consumer):
    """Fetches what can start, and waits in Redis where there is nothing."""

    _processing = threading.local()

    def __init__(self, broker: TrunklineBroker, queue_name: str, *, prefetch: int, timeout: timedelta) -> None:
        self._broker = broker
        self._queue = queue_name
        self._prefetch = prefetch
        self._wait_s = min(timeout, LONGEST_WAIT, timedelta(milliseconds=broker.heartbeat_timeout) / 2).total_seconds()
        self._fetched: deque[Delivery] = deque()
        self._outstanding = 0
        self._lock = threading.Lock()
        self._must_reconcile = True  # this process may have fetched through a connection that broke

    @classmethod
    def remember_retry(cls, message: Message[Any], delay_ms: int) -> bool:
        """Notes that the message which this thread works on shall be tried again; False if it is another one."""
        processing: DeliveredMessage | None = getattr(cls._processing, "message", None)
        if processing is None or processing.message_id != message.message_id or processing.delivery.settled:
            return False
        processing.retry = (message, delay_ms)
        return True

    @classmethod
    def begin(cls, message: MessageProxy) -> None:
        """The thread that calls this works on `message` from now on."""
        cls._processing.message = message
        set_current_delivery(message.delivery if isinstance(message, DeliveredMessage) else None)

    def __next__(self) -> MessageProxy | None:
        try:
            if not self._fetched and not self._fetch():
                return None
        except TRANSIENT as error:
            self._must_reconcile = True
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        return self._decode(self._fetched.popleft())

    def ack(self, message: MessageProxy) -> None:
        """Ends a message that no step has settled; with its next attempt, if one was asked for."""
        assert isinstance(message, DeliveredMessage)
        delivery, retry = message.delivery, message.retry
        if not delivery.settled:
            if retry is None and message._exception is not None:
                # No middleware asked for another attempt, and nothing was recorded: dropping the message would lose it.
                self._settle(queue_commands.settle([delivery], "break", queue_commands.broken_pause_ms(delivery)))
            elif retry is None:
                self._settle(queue_commands.settle([delivery], "ack"))
            else:
                next_message, delay_ms = retry
                id = next_message.options["redis_message_id"]
                self._settle(
                    queue_commands.retry(
                        delivery, queue=next_message.queue_name, id=id, body=next_message.encode(), delay_ms=delay_ms
                    )
                )
                self._broker.life.round_due_in(timedelta(milliseconds=delay_ms))
        self._let_go(delivery)

    def nack(self, message: MessageProxy) -> None:
        """Puts a message that failed for good among the dead letters."""
        assert isinstance(message, DeliveredMessage)
        if not message.delivery.settled:
            error = repr(message._exception) if message._exception is not None else "its actor rejected it"
            notice = self._broker.dead_letter_notice
            self._settle(queue_commands.bury(message.delivery, reason="failed", error=error, notice=notice))
        self._let_go(message.delivery)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Gives back what has not begun, uncounted."""
        deliveries = [message.delivery for message in messages if isinstance(message, DeliveredMessage)]
        if deliveries:
            self._settle(queue_commands.settle(deliveries, "give_back"))
        for delivery in deliveries:
            self._let_go(delivery)

    def close(self) -> None:
        """Gives back what was fetched and not handed out."""
        while self._fetched:
            delivery = self._fetched.popleft()
            self._settle(queue_commands.settle([delivery], "give_back"))
            self._let_go(delivery)

    def _fetch(self) -> bool:
        with self._lock:
            room = self._prefetch - self._outstanding
        if room <= 0:
            time.sleep(_NO_ROOM_PAUSE_S)
            return False
        life, runner = self._broker.life, self._broker.runner
        worker = life.worker
        if self._must_reconcile or self._queue in life.leaking:
            runner.run(queue_commands.reconcile(worker, self._queue, life.held_ids(self._queue)))
            self._must_reconcile = False
            life.leaking.discard(self._queue)
        self._must_reconcile = True  # until the answer is here
        fetched = runner.run(queue_commands.fetch(worker, self._queue, room))
        self._must_reconcile = False
        if not fetched.registered:
            life.renew(worker)
            return False
        if fetched.held_up_by and not fetched.deliveries:
            self._wait_for_bell(worker, fetched.wait_s)
        elif not fetched.deliveries:
            runner.run(
                queue_commands.wait_for_message(self._broker.namespace, worker, self._queue, timeout_s=self._wait_s)
            )
        if not fetched.deliveries:
            return False
        for delivery in fetched.deliveries:
            life.hold(delivery)
            self._fetched.append(delivery)
        with self._lock:
            self._outstanding += len(fetched.deliveries)
        return True

    def _wait_for_bell(self, worker: str, wait_s: float) -> None:
        if wait_s <= SHORT_WAIT_S:
            time.sleep(wait_s)
            return
        timeout_s = min(wait_s, LONGEST_WAIT.total_seconds())  # the stock worker looks whether it shall stop
        self._broker.runner.run(
            queue_commands.wait_for_bell(self._broker.namespace, worker, self._queue, timeout_s=timeout_s)
        )

    def _decode(self, delivery: Delivery) -> MessageProxy | None:
        try:
            refuse_crashed(delivery)
            return DeliveredMessage(decode_message(delivery), delivery)
        except (DecodeError, TooManyCrashes) as error:
            reason = "undecodable" if isinstance(error, DecodeError) else "crashed"
            _log.error("a message is a dead letter now", message=delivery.id, reason=reason, error=str(error))
            notice = self._broker.dead_letter_notice
            self._settle(queue_commands.bury(delivery, reason=reason, error=str(error), notice=notice))
            self._let_go(delivery)
            return None

    def _settle(self, command: Command[Any]) -> None:
        try:
            self._broker.runner.run(command)
        except TRANSIENT as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]

    def _let_go(self, delivery: Delivery) -> None:
        delivery.settled = True
        self._broker.life.let_go(delivery)
        with self._lock:
            self._outstanding -= 1
