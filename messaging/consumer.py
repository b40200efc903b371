"""How a worker of the stock `dramatiq` command gets its messages: one blocked connection per queue.

The event-loop worker does the same for a loop; both send the commands of `queue_commands`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.common import q_name
from dramatiq.errors import ConnectionClosed, DecodeError
from dramatiq.message import Message

from messaging import queue_commands
from messaging.acknowledging import GroupAcknowledgement
from messaging.command_runner import FULL, TRANSIENT
from messaging.delivery import Delivery, set_current_delivery
from messaging.log_context import bind_message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from messaging.broker import TrunklineBroker
    from messaging.queue_commands import Fetched

_log = structlog.get_logger(__name__)

#: How long a blocking wait may last: less than the heartbeat time-out, so that no wait outlives its worker.
LONGEST_WAIT = timedelta(seconds=1)
#: By how much Redis may be late to end a wait that nobody rings: an idle one looks at time-outs ten times a second.
_TIMEOUT_LATENESS_S = 0.11
#: A consumer without a free slot, or with few of them, looks again after this; threads do not tell when they free one.
_NO_ROOM_PAUSE_S = 0.001
#: A thread waits that long for the one that acknowledges for it, which may have to wait for Redis.
_ACKNOWLEDGED_WITHIN_S = 30.0
#: While Redis is full, consumers look again this often.
_FULL_PAUSE_S = 0.2


def decode_message(delivery: Delivery) -> Message[Any]:
    """The Dramatiq message in a delivery, as its actor shall see it: on its own queue, with nothing left to wait for.

    Raises:
        DecodeError: The body is no message.
    """
    message = Message.decode(delivery.body)
    if not isinstance(message.options, dict) or not isinstance(message.kwargs, dict):
        raise DecodeError("options and kwargs of a message are objects", delivery.body, None)
    if not isinstance(message.actor_name, str) or not isinstance(message.message_id, str):
        raise DecodeError("actor_name and message_id of a message are texts", delivery.body, None)
    options = {**message.options, "redis_message_id": delivery.id}
    options.pop("eta", None)
    delivery.message_id = message.message_id
    try:
        delivery.enqueued_us = int(options.get("enqueued_us") or message.message_timestamp * 1000)
    except (TypeError, ValueError, OverflowError) as error:
        raise DecodeError("the times of a message are numbers", delivery.body, error) from error  # type: ignore[no-untyped-call]
    return Message(
        queue_name=q_name(delivery.queue),
        actor_name=message.actor_name,
        args=message.args,
        kwargs=message.kwargs,
        options=options,
        message_id=message.message_id,
        message_timestamp=message.message_timestamp,
    )


@contextmanager
def closed_when_away() -> Iterator[None]:
    """Translates what Redis's client raises when Redis is away.

    Raises:
        ConnectionClosed: It is; the stock worker waits and tries again.
    """
    try:
        yield
    except TRANSIENT as error:
        raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]


def part_in_redis_s(fetched: Fetched) -> float:
    """How much of the wait after a fetch that was held up is spent listening to the bell in Redis.

    A wait for the rate ends at an exact time, so its last part is slept; whoever rings meanwhile is heard after it.
    """
    exact = fetched.held_up_by == "throttled"
    return max(0.0, fetched.wait_s - _TIMEOUT_LATENESS_S) if exact else fetched.wait_s


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
        raise TooManyCrashes(
            f"{delivery.crashes} deliveries of it died or broke, the last one with {delivery.lost[-1].worker}"
        )


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
        self.broker = broker
        self.queue_name = queue_name
        self.prefetch = prefetch
        self._wait_s = min(timeout, LONGEST_WAIT, timedelta(milliseconds=broker.heartbeat_timeout) / 2).total_seconds()
        self._fetched: deque[Delivery] = deque()
        self._reconciled = False  # this process may have fetched through a connection that broke
        self._waited = False  # for more room than a little, so that a busy worker fetches several at once
        self._acknowledgements = GroupAcknowledgement(self._acknowledge, patience_s=_ACKNOWLEDGED_WITHIN_S)

    @property
    def outstanding_message_count(self) -> int:
        """How many messages of its queue this process holds, also those that an earlier consumer fetched."""
        return len(self.broker.life.held_ids(self.queue_name))

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
        delivery = message.delivery if isinstance(message, DeliveredMessage) else None
        set_current_delivery(delivery)
        bind_message(None if delivery is None else delivery.id)

    def __next__(self) -> MessageProxy | None:
        with closed_when_away():
            if not self._fetched and not self._fetch():
                return None
            return self._decode(self._fetched.popleft())

    def ack(self, message: MessageProxy) -> None:
        """Ends a message that no step has settled; with its next attempt, if one was asked for."""
        if not isinstance(message, DeliveredMessage):
            return  # nobody here has fetched it
        delivery, retry = message.delivery, message.retry
        with closed_when_away():
            if delivery.settled:
                self.broker.life.let_go(delivery)
            elif retry is not None:
                next_message, delay_ms = retry
                id = next_message.options["redis_message_id"]
                self.broker.end(
                    message,
                    queue_commands.retry(
                        delivery, queue=next_message.queue_name, id=id, body=next_message.encode(), delay_ms=delay_ms
                    ),
                )
                self.broker.life.round_due_in(timedelta(milliseconds=delay_ms))
            elif message._exception is not None:
                # No middleware asked for another attempt, and nothing was recorded: dropping the message would lose it.
                pause_ms = queue_commands.broken_pause_ms(delivery)
                self.broker.end(message, queue_commands.settle([delivery], "break", pause_ms))
            else:
                self._acknowledgements.acknowledge(delivery)
        delivery.settled = True

    def _acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        for worker in {delivery.worker for delivery in deliveries}:  # which takes a new id when it was declared dead
            its = [delivery for delivery in deliveries if delivery.worker == worker]
            self.broker.do_ack(self.queue_name, its)

    def nack(self, message: MessageProxy) -> None:
        """Puts a message that failed for good among the dead letters."""
        if not isinstance(message, DeliveredMessage):
            return  # nobody here has fetched it
        if message.delivery.settled:
            self.broker.life.let_go(message.delivery)
        else:
            with closed_when_away():
                self.broker.do_nack(self.queue_name, message)
        message.delivery.settled = True

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Gives back what has not begun, uncounted."""
        self._give_back(message.delivery for message in messages if isinstance(message, DeliveredMessage))

    def close(self) -> None:
        """Gives back what was fetched and not handed out, and what was on its way."""
        fetched, self._fetched = self._fetched, deque()
        self._give_back(fetched)

    def _give_back(self, deliveries: Iterable[Delivery]) -> None:
        # Forgotten first: if Redis does not hear of it, the next consumer of this queue says so.
        life = self.broker.life
        for delivery in deliveries:
            delivery.settled = True
            life.let_go(delivery)
        with closed_when_away():
            held = life.held_ids(self.queue_name)
            self.broker.runner.run(queue_commands.reconcile(life.worker, self.queue_name, held))

    def _fetch(self) -> bool:
        room = self.prefetch - self.outstanding_message_count
        if room <= 0 or (room < self.prefetch // 2 and not self._waited):
            self._waited = room > 0
            time.sleep(_NO_ROOM_PAUSE_S)
            return False
        self._waited = False
        life, runner, queue = self.broker.life, self.broker.runner, self.queue_name
        if not self._reconciled or queue in life.leaking:
            life.start([queue])
            runner.run(queue_commands.reconcile(life.worker, queue, life.held_ids(queue)))
            life.leaking.discard(queue)
        self._reconciled = False  # until the answer is here
        worker = life.worker
        fetched = runner.run(queue_commands.fetch(worker, queue, room))
        self._reconciled = True
        if not fetched.registered:
            life.renew(worker)
            return False
        if fetched.held_up_by and not fetched.deliveries:
            self._wait_for_bell(worker, fetched)
        elif not fetched.deliveries:
            self._wait_for_message(worker)
        if not fetched.deliveries:
            return False
        for delivery in fetched.deliveries:
            life.hold(delivery)
            self._fetched.append(delivery)
        return True

    def _wait_for_message(self, worker: str) -> None:
        command = queue_commands.wait_for_message(
            self.broker.namespace, worker, self.queue_name, timeout_s=self._wait_s
        )
        try:
            self.broker.runner.run(command)
        except FULL:  # a blocking move is a write, unlike a fetch
            time.sleep(_FULL_PAUSE_S)

    def _wait_for_bell(self, worker: str, fetched: Fetched) -> None:
        begun = time.monotonic()
        longest_s = LONGEST_WAIT.total_seconds()  # the stock worker looks whether it shall stop
        rung, in_redis_s = False, min(part_in_redis_s(fetched), longest_s)
        if in_redis_s > 0:
            rung = self.broker.runner.run(
                queue_commands.wait_for_bell(self.broker.namespace, worker, self.queue_name, timeout_s=in_redis_s)
            )
        if fetched.held_up_by == "throttled" and not rung:
            rest_s = min(fetched.wait_s, longest_s) - (time.monotonic() - begun)
            time.sleep(max(0.0, rest_s))

    def _decode(self, delivery: Delivery) -> MessageProxy | None:
        try:
            refuse_crashed(delivery)
            return DeliveredMessage(decode_message(delivery), delivery)
        except (DecodeError, TooManyCrashes) as error:
            reason = "undecodable" if isinstance(error, DecodeError) else "crashed"
            _log.error("a message is a dead letter now", message=delivery.id, reason=reason, error=str(error))
            notice = self.broker.dead_letter_notice
            # Forgotten first: if Redis does not hear of this, it is reconciled, fetched and refused once more.
            self.broker.life.let_go(delivery)
            self.broker.runner.run(queue_commands.bury(delivery, reason=reason, error=str(error), notice=notice))
            return None
