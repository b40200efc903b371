"""One delivery of one message: what was handed over, under which token, and whether it is settled.

A delivery is owned by its worker until a step script, or the worker itself, settles it. The token is new at every
fetch, also when the same process fetches the same message again, so a fence by token lets exactly one run pass.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from messaging.command import Word
from schemas.events import Delivered, LostDelivery


@dataclass(slots=True)
class Delivery:
    """What a fetch handed over."""

    worker: str
    queue: str
    id: str
    """The message's id in Redis."""
    token: str
    body: bytes
    crashes: int
    """Earlier deliveries that ended with their worker."""
    lost: tuple[LostDelivery, ...]
    """The circumstances of the last few of them, in order."""
    fetched_us: int
    """When it was fetched, by Redis's clock."""
    enqueued_us: int = 0
    """When it was enqueued, as its body says; 0 until that has been read."""
    message_id: str = ""
    """What its producer calls the message; the same at every attempt."""
    throttled: tuple[int, int] | None = None
    """From when to when the queue's rate held it up if it was there, by Redis's clock."""
    settled: bool = False
    """True once a script has ended this worker's ownership: nothing is left to acknowledge."""
    cancelled: bool = False
    _on_cancel: list[Callable[[], object]] = field(default_factory=list)

    @property
    def fence(self) -> tuple[Word, Word, Word, Word]:
        """The first four arguments of every step script."""
        return self.worker, self.queue, self.id, self.token

    def facts(self) -> Delivered:
        """How the message got here, for the job's events."""
        return Delivered(
            worker=self.worker,
            message=self.id,
            enqueued_us=self.enqueued_us,
            fetched_us=self.fetched_us,
            crashes=self.crashes,
            lost=self.lost,
            throttled_us=self.throttled_us,
        )

    @property
    def throttled_us(self) -> int:
        """How long the queue's rate held it up, while it was there."""
        if self.throttled is None:
            return 0
        since_us, until_us = self.throttled
        return max(0, until_us - max(since_us, self.enqueued_us))

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Calls `callback` when the message's work is cancelled, on any thread; at once if it already is."""
        self._on_cancel.append(callback)
        if self.cancelled:
            callback()

    def cancel(self) -> None:
        """Tells whoever works on the message that nobody wants the result any more."""
        self.cancelled = True
        for callback in self._on_cancel:
            callback()


_current: ContextVar[Delivery | None] = ContextVar("trunkline_delivery", default=None)


def current_delivery() -> Delivery:
    """The delivery that the running actor works on.

    Raises:
        RuntimeError: No actor is running in this context, or its broker is not Trunkline's.
    """
    delivery = _current.get()
    if delivery is None:
        raise RuntimeError("no message is being processed here: actors of Trunkline run under its own broker only")
    return delivery


def set_current_delivery(delivery: Delivery | None) -> None:
    """Sets what `current_delivery` answers in this context, and in what is started from it."""
    _current.set(delivery)
