"""That a worker lives: its id, its beats, what it is told, and the rounds that every living process does.

A beat is sent from a thread and a connection of its own, so that neither a busy event loop nor a full pool of threads
looks like death. Besides saying "alive" it gives back what dead workers held and promotes what is due (`lua/beat.lua`);
and now and then it is looked whether everything stands where it should (`lua/mend.lua`).
"""

import os
import platform
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final
from uuid import uuid4

import structlog

from messaging import queue_commands
from messaging.command_runner import TRANSIENT, BlockingRunner
from messaging.delivery import Delivery
from messaging.queue_commands import Pulse

#: Dead workers are looked for, and due messages promoted, at least this often.
ROUNDS_INTERVAL = timedelta(milliseconds=500)
#: It is looked whether all messages stand where they should at least this often.
MEND_INTERVAL = timedelta(minutes=1)
#: A beat that is this close to a due time waits for it instead of the next round.
_EARLIEST_ROUND_S: Final = 0.001
#: Beats in a row that find more in Redis than the worker knows of, before it reconciles.
_SUSPICIOUS_BEATS: Final = 4

_log = structlog.get_logger(__name__)


class WorkerLife:
    """Keeps one worker of this process among the living.

    Args:
        runner: Its own, on a connection that nothing else blocks.
        heartbeat_timeout: Without a beat for this long, other processes take the worker's messages back.
        info: What others see of the worker, such as its pool and versions; host and process id are added.
        tell: Called with the worker's id whenever it tries to beat, whether Redis is there or not.
    """

    def __init__(
        self,
        runner: BlockingRunner,
        *,
        heartbeat_timeout: timedelta,
        info: Mapping[str, object] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.worker = _new_worker_id()
        self.queues: set[str] = set()
        self.leaking: set[str] = set()
        """Queues of which Redis thinks that this worker holds more than it knows of;

        their consumers should reconcile.
        """
        self._runner = runner
        self._timeout = heartbeat_timeout
        self._interval = min(ROUNDS_INTERVAL, heartbeat_timeout / 5)
        self._info = {"host": platform.node(), "pid": os.getpid(), "started": round(time.time()), **(info or {})}
        self._tell = tell
        self._held: dict[str, Delivery] = {}
        self._suspicious = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._next_round = 0.0
        self._next_mend = 0.0
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._beaten_at = float("-inf")
        self._on_beat: list[Callable[[Pulse], None]] = []

    def start(self, queues: Iterable[str]) -> None:
        """Registers the worker for `queues` and begins to beat. May be called again with more queues."""
        with self._lock:
            self.queues |= set(queues)
            self._register(self.worker)
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat_until_stopped, name="worker-life", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Stops beating and leaves: what the worker still holds goes back at once. Quiet when Redis is away."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        try:
            self._runner.run(queue_commands.leave(self.worker, died=False))
        except TRANSIENT:
            _log.warning("could not give messages back, others will after the heartbeat time-out", worker=self.worker)

    def renew(self, dead: str) -> None:
        """Takes a new id if `dead` is still ours: it was declared dead, and what it held is somebody else's now."""
        with self._lock:
            if self.worker != dead:
                return
            fresh = _new_worker_id()
            _log.warning("this worker was declared dead and goes on under a new id", worker=dead, new_worker=fresh)
            self._runner.run(queue_commands.leave(dead, died=False))
            self._register(fresh)
            # Only now: whoever fetched under an id that is not registered yet would take it for dead as well.
            self.worker = fresh

    def on_beat(self, callback: Callable[[Pulse], None]) -> None:
        """Calls `callback` with each beat's answer, on the beating thread."""
        self._on_beat.append(callback)

    def hold(self, delivery: Delivery) -> None:
        """Notes that this process works on `delivery`, so that it can be told of a cancel."""
        self._held[delivery.id] = delivery

    def let_go(self, delivery: Delivery) -> None:
        """Ends what `hold` began."""
        if self._held.get(delivery.id) is delivery:
            del self._held[delivery.id]

    def held_ids(self, queue: str) -> list[str]:
        """The ids of the messages of `queue` that this process works on."""
        return [delivery.id for delivery in list(self._held.values()) if delivery.queue == queue]

    def unready(self) -> str | None:
        """Why this worker gets no work just now, for people; None if it is among the living."""
        silent_s = time.monotonic() - self._beaten_at
        if silent_s <= self._timeout.total_seconds():
            return None
        return "has not beaten yet" if silent_s == float("inf") else f"no beat for {silent_s:.0f} s; is Redis away?"

    def round_due_in(self, delay: timedelta) -> None:
        """Something was scheduled: makes sure that a round happens when it is due, not half a second later."""
        due = time.monotonic() + delay.total_seconds()
        if due < self._next_round:
            self._next_round = due
            self._wake.set()

    def _register(self, worker: str) -> None:
        info = {**self._info, "queues": sorted(self.queues), "worker": worker}
        self._runner.run(queue_commands.register(worker, info, sorted(self.queues)))

    def _beat_until_stopped(self) -> None:
        while not self._stopping:
            self._next_round = time.monotonic() + self._interval.total_seconds()
            try:
                self._beat()
                self._mend()
            except TRANSIENT as error:
                _log.warning("no beat: Redis is away", error=str(error))
            # The thread's boundary: a worker that stops beating for an error of any other kind would lose its messages.
            except Exception:  # noqa: BLE001
                _log.exception("a beat failed")
            while not self._stopping and (pause_s := self._next_round - time.monotonic()) > 0:
                self._wake.wait(pause_s)
                self._wake.clear()

    def _beat(self) -> None:
        with self._lock:
            worker = self.worker
        if self._tell is not None:
            self._tell(worker)
        command = queue_commands.beat([worker], heartbeat_timeout=self._timeout, check_interval=self._interval)
        pulse = self._runner.run(command)
        if pulse.released:
            _log.warning("messages of a dead worker went back to their queues", messages=pulse.released)
        if pulse.next_due_ms is not None:
            until_due_s = (pulse.next_due_ms - pulse.now_us / 1000) / 1000
            self._next_round = min(self._next_round, time.monotonic() + max(until_due_s, _EARLIEST_ROUND_S))
        mine = pulse.workers[0]
        if not mine.alive:
            self.renew(worker)
        self._beaten_at = time.monotonic()
        self._suspicious = self._suspicious + 1 if mine.held > len(self._held) else 0
        if self._suspicious >= _SUSPICIOUS_BEATS:
            self.leaking, self._suspicious = set(self.queues), 0
        for message_id in mine.told:
            if delivery := self._held.get(message_id):
                delivery.cancel()
        for callback in self._on_beat:
            callback(pulse)

    def _mend(self) -> None:
        if time.monotonic() < self._next_mend:
            return
        self._next_mend = time.monotonic() + MEND_INTERVAL.total_seconds()
        mended = self._runner.run(queue_commands.mend(interval=MEND_INTERVAL))
        if any(mended):
            _log.warning("messages or records of them were not where they should be; put right", **mended._asdict())


def _new_worker_id() -> str:
    return str(uuid4())
