"""A worker whose messages in flight are tasks on one event loop: thousands of slow calls in one process.

It runs the same Dramatiq actors as the stock worker. Coroutine functions run on the loop; plain functions run on
threads. It fetches only what it has a free slot for, so that no message waits behind a slow one while another worker is
idle.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from dramatiq.errors import ActorNotFound, DecodeError

from messaging import queue_commands
from messaging.command import Command
from messaging.command_runner import FULL, TRANSIENT, PipeliningRunner
from messaging.consumer import LONGEST_WAIT, TooManyCrashes, decode_message, part_in_redis_s, refuse_crashed
from messaging.delivery import Delivery, set_current_delivery
from messaging.log_context import bind_message
from messaging.redis_access.link import RedisLink

if TYPE_CHECKING:
    from collections.abc import Iterable

    import redis.asyncio
    from dramatiq.message import Message

    from messaging.broker import TrunklineBroker
    from messaging.queue_commands import Fetched

_log = structlog.get_logger(__name__)

#: How long work in flight may go on after a stop before it is given back.
DEFAULT_STOP_TIMEOUT = timedelta(seconds=30)
_RECONNECT_PAUSE_S: Final = 0.2
#: Rounds of the loop until a message that was begun has sent its claim: what just came goes first, waiting for more
#: after.
_STEPS_TO_A_CLAIM: Final = 3
_BROKEN_PAUSE_S: Final = 1.0
#: How often a cancellation is said again: `asyncio.wait_for` before Python 3.12, which redis-py sends through, may
#: swallow one.
_CANCEL_AGAIN_S: Final = 0.1


@dataclass(slots=True)
class _InFlight:
    delivery: Delivery
    task: asyncio.Task[None]


class EventLoopWorker:
    """Consumes queues of a broker on the running event loop.

    Args:
        broker: Its actors are run; its life is this worker's life.
        client: An asyncio client on the same Redis, for the blocking waits.
        runner: Carries the commands; shared with the actors.
        queues: The queues to consume; all that the broker has declared by default.
        slots: How many messages may be in flight at once.
        stop_timeout: How long work in flight may go on after `run` is told to stop.
    """

    def __init__(
        self,
        broker: TrunklineBroker,
        *,
        client: redis.asyncio.Redis,
        runner: PipeliningRunner,
        queues: Iterable[str] | None = None,
        slots: int = 8,
        stop_timeout: timedelta = DEFAULT_STOP_TIMEOUT,
    ) -> None:
        self._broker = broker
        broker.worker_info["slots"] = slots
        self._runner = runner
        self._queues = sorted(queues if queues is not None else broker.get_declared_queues())
        self._links = {queue: RedisLink(client) for queue in self._queues}
        self._slots = slots
        self._stop_timeout = stop_timeout
        self._in_flight: dict[int, _InFlight] = {}
        self._slot_freed = asyncio.Event()
        self._threads = ThreadPoolExecutor(max_workers=slots, thread_name_prefix="actor")
        wait_s = min(LONGEST_WAIT, timedelta(milliseconds=broker.heartbeat_timeout) / 2).total_seconds()
        self._wait_s = wait_s

    @property
    def busy(self) -> int:
        """How many messages are in flight."""
        return len(self._in_flight)

    async def run(self, stop: asyncio.Event) -> None:
        """Consumes until `stop` is set; then finishes what is in flight, or gives it back when its time is up."""
        life = self._broker.life
        await asyncio.to_thread(life.start, self._queues)
        consumers = [asyncio.create_task(self._consume(queue), name=f"consume {queue}") for queue in self._queues]
        try:
            await stop.wait()
        finally:
            await _cancel(consumers)
            await self._finish()
            await asyncio.to_thread(life.stop)
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _finish(self) -> None:
        # A fetch that was under way when its consumer was cancelled has handed over what nobody here knows of.
        for queue in self._queues:
            with suppress(*TRANSIENT):
                held = self._broker.life.held_ids(queue)
                await self._runner.run_once(queue_commands.reconcile(self._broker.life.worker, queue, held))
        tasks = [flight.task for flight in self._in_flight.values()]
        if not tasks:
            return
        _log.info("finishing what is in flight", messages=len(tasks), at_most_s=self._stop_timeout.total_seconds())
        _, unfinished = await asyncio.wait(tasks, timeout=self._stop_timeout.total_seconds())
        if unfinished:
            # Leaving gives their messages back at once; the fence refuses whatever these tasks might still write.
            _log.warning("gave back what did not finish in time", messages=len(unfinished))
            for task in unfinished:
                task.cancel()
            await asyncio.wait(unfinished, timeout=1)

    async def _consume(self, queue: str) -> None:
        life = self._broker.life
        must_reconcile = is_coming = False
        while True:
            while len(self._in_flight) >= self._slots and not is_coming:
                self._slot_freed.clear()
                await self._slot_freed.wait()
            worker = life.worker
            try:
                if must_reconcile or queue in life.leaking:
                    await self._runner.run_once(queue_commands.reconcile(worker, queue, life.held_ids(queue)))
                    must_reconcile = False
                    life.leaking.discard(queue)
                # What is on its way is taken even if another queue has filled the slots: nobody else can have it.
                room = max(self._slots - len(self._in_flight), int(is_coming))
                is_coming = False
                fetched = await self._runner.run_once(queue_commands.fetch(worker, queue, room))
                if not fetched.registered:
                    await asyncio.to_thread(life.renew, worker)
                for delivery in fetched.deliveries:
                    self._begin(delivery)
                for _ in range(_STEPS_TO_A_CLAIM):
                    await asyncio.sleep(0)
                if fetched.held_up_by:
                    await self._wait_for_bell(worker, queue, fetched)
                elif fetched.registered and fetched.waiting == 0:
                    is_coming = await self._wait_for_message(worker, queue)
            except TRANSIENT as error:
                _log.warning("cannot fetch: Redis is away", queue=queue, error=str(error))
                must_reconcile = True
                await asyncio.sleep(_RECONNECT_PAUSE_S)
            except FULL:  # fetching works all the same; waiting in Redis does not, since a blocking move is a write
                await asyncio.sleep(_RECONNECT_PAUSE_S)
            # A boundary: a consumer that ended would leave its queue unserved while its worker looks alive.
            except Exception:  # noqa: BLE001
                _log.exception("cannot fetch", queue=queue)
                must_reconcile = True
                await asyncio.sleep(_BROKEN_PAUSE_S)

    async def _wait_for_message(self, worker: str, queue: str) -> bool:
        """Whether there is a message on its way to this worker; returns without one after a while."""
        if len(self._in_flight) >= self._slots:
            return False
        command = queue_commands.wait_for_message(self._broker.namespace, worker, queue, timeout_s=self._wait_s)
        while not await self._links[queue].ask(command.words):
            if self._broker.life.worker != worker or queue in self._broker.life.leaking:
                return False
        return True

    async def _wait_for_bell(self, worker: str, queue: str, fetched: Fetched) -> None:
        """Returns when the queue's limits may let something start."""
        loop = asyncio.get_running_loop()
        due = loop.time() + fetched.wait_s
        rung, in_redis_s = None, part_in_redis_s(fetched)
        if in_redis_s > 0:
            command = queue_commands.wait_for_bell(self._broker.namespace, worker, queue, timeout_s=in_redis_s)
            rung = await self._links[queue].ask(command.words)
        if fetched.held_up_by == "throttled" and rung is None:
            await asyncio.sleep(due - loop.time())

    def _begin(self, delivery: Delivery) -> None:
        self._broker.life.hold(delivery)
        task = asyncio.create_task(self._process(delivery), name=delivery.id)
        key = id(delivery)
        self._in_flight[key] = _InFlight(delivery, task)
        task.add_done_callback(lambda _: self._end(key))

    def _end(self, key: int) -> None:
        flight = self._in_flight.pop(key)
        self._broker.life.let_go(flight.delivery)
        self._slot_freed.set()
        if not flight.task.cancelled() and (error := flight.task.exception()):
            _log.error("a message was left unsettled", message=flight.delivery.id, exc_info=error)

    async def _process(self, delivery: Delivery) -> None:
        set_current_delivery(delivery)
        bind_message(delivery.id)
        try:
            refuse_crashed(delivery)
            message = decode_message(delivery)
            function = self._function(message.actor_name)
        except (DecodeError, ActorNotFound, TooManyCrashes) as error:
            await self._bury(delivery, error)
            return
        try:
            call = function(message)
        except TypeError as error:  # the arguments are not the actor's
            await self._bury(delivery, error)
            return
        try:
            await call
        # The boundary around an actor. Trunkline's own actors turn whatever a tool or a model does into an outcome;
        # what still comes out is a fault of ours or of Redis. The message is tried again and, after some crashes,
        # answered.
        except Exception:  # noqa: BLE001
            pause_ms = queue_commands.broken_pause_ms(delivery)
            _log.exception("an actor broke; its message is tried again", message=delivery.id, in_ms=pause_ms)
            await self._settle(delivery, queue_commands.settle([delivery], "break", pause_ms))
        else:
            await self._settle(delivery, queue_commands.settle([delivery], "ack"))

    def _function(self, actor_name: str) -> Callable[[Message[Any]], Awaitable[None]]:
        actor = self._broker.get_actor(actor_name)
        original = inspect.unwrap(actor.fn)
        if inspect.iscoroutinefunction(original):
            return lambda message: original(*message.args, **message.kwargs)

        def call_plain_function(message: Message[Any]) -> Awaitable[None]:
            loop = asyncio.get_running_loop()
            return loop.run_in_executor(self._threads, lambda: actor.fn(*message.args, **message.kwargs))

        return call_plain_function

    async def _bury(self, delivery: Delivery, error: Exception) -> None:
        reasons = {DecodeError: "undecodable", ActorNotFound: "unknown actor", TooManyCrashes: "crashed"}
        reason = reasons.get(type(error), "unreadable")
        _log.error(
            "a message that nobody can run is a dead letter now", message=delivery.id, reason=reason, error=str(error)
        )
        notice = self._broker.dead_letter_notice
        await self._settle(delivery, queue_commands.bury(delivery, reason=reason, error=str(error), notice=notice))

    async def _settle(self, delivery: Delivery, command: Command[int]) -> None:
        if not delivery.settled:
            await self._runner.run(command)
            delivery.settled = True


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
