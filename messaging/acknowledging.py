"""Acknowledging for many threads: what is done while one acknowledgement is on its way goes out together as the next.

The worker of the stock `dramatiq` command acknowledges each message from the thread that did it, and each waits for its
answer. Under load, eight threads need one round trip for all of theirs; a thread alone sends its own at once. It is the
group commit of databases (DeWitt and others, 1984), without the wait for company.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import redis.exceptions

from messaging.delivery import Delivery


@dataclass(slots=True, eq=False)
class _Waiting:
    """A thread with an acknowledgement."""

    delivery: Delivery
    sends: bool
    """It is its turn to send what is waiting."""
    woken: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


class GroupAcknowledgement:
    """Of the threads that work on one queue.

    Args:
        send: Acknowledges deliveries, and returns when Redis has answered.
        patience_s: How long a thread waits for another that sends its acknowledgement, seconds.
    """

    def __init__(self, send: Callable[[Sequence[Delivery]], None], *, patience_s: float) -> None:
        self._send = send
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._somebody_sends = False

    def acknowledge(self, delivery: Delivery) -> None:
        """Returns when the acknowledgement has been answered.

        Raises:
            redis.exceptions.TimeoutError: The thread that was to send it did not come back.
            Exception: What `send` raised; for all whose acknowledgements it was to send.
        """
        with self._lock:
            mine = _Waiting(delivery, sends=not self._somebody_sends)
            self._waiting.append(mine)
            self._somebody_sends = True
        if not mine.sends and not mine.woken.wait(self._patience_s):
            self._give_up(mine)
        if mine.sends:
            self._send_for_all()
        if mine.error is not None:
            raise mine.error

    def _give_up(self, mine: _Waiting) -> None:
        with self._lock:
            if mine.sends:  # just now
                return
            if mine in self._waiting:
                self._waiting.remove(mine)
        raise redis.exceptions.TimeoutError("the thread that acknowledges for others did not come back")

    def _send_for_all(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
        error: BaseException | None = redis.exceptions.TimeoutError("the thread that acknowledges was interrupted")
        try:
            self._send([one.delivery for one in batch])
            error = None
        except Exception as raised:  # noqa: BLE001 - whatever it is, it happened to all of them
            error = raised
        finally:
            with self._lock:
                self._somebody_sends = bool(self._waiting)
                for following in self._waiting[:1]:
                    following.sends = True
                    following.woken.set()
            for one in batch:
                one.error = error
                one.woken.set()
