"""What goes wrong, one method each; and what each fault hit."""

import asyncio
import os
import random
import signal
from bisect import bisect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import accumulate
from typing import Any, Final

import redis

from messaging.embedded.embedded_redis import EmbeddedRedis
from messaging.envelopes import living_workers
from tests.chaos.fleet import POOLS, SUPERVISED, Fleet, Victim, children_of
from tests.chaos.orders import Weather
from tests.chaos.proxy import Proxy
from tests.scenarios.deployment import Deployment
from tests.scenarios.messages import push
from tests.scenarios.waiting import wait_until

#: How often each happens, relative to the others; and each at least once.
_WEIGHTS: Final = {
    "kill_a_process": 60,
    "kill_a_supervisor": 3,
    "kill_a_supervisor_with_all_it_runs": 3,
    "freeze_a_process": 8,
    "kill_redis": 2,
    "restart_redis": 1,
    "freeze_redis": 1,
    "cut_connections_to_redis": 5,
    "lose_answers_of_redis": 5,
    "delay_redis": 2,
    "cut_connections_to_the_model": 3,
    "flood_with_429": 3,
    "copy_messages": 8,
    "forget_scripts": 1,
}
QUEUES: Final = ("orchestrator", "intake", *POOLS)
#: The share of kills that do not look whether their victim is at work.
_IDLE_TOO: Final = 0.3
_COPIES: Final = 20
_OLD_BODIES: Final = 500


@dataclass(frozen=True)
class Held:
    """A message that was in flight where a fault hit."""

    queue: str
    id: str


@dataclass(frozen=True)
class Hit:
    """A fault, and what it hit."""

    kind: str
    at_us: int
    """By Redis's clock."""
    kills: int = 0
    """How many processes got SIGKILL."""
    held: Sequence[Held] = ()
    """What its victims held; of a fault that has none, what anybody held."""
    what: str = ""


def deck(number: int, chance: random.Random) -> list[str]:
    """The kinds of that many faults, shuffled: each once, and the rest by weight."""
    kinds, bounds = list(_WEIGHTS), list(accumulate(_WEIGHTS.values()))
    more = max(0, number - len(kinds))
    dealt = [*kinds, *(kinds[bisect(bounds, bounds[-1] * (place + 0.5) / more)] for place in range(more))]
    chance.shuffle(dealt)
    return dealt


@dataclass
class Faults:
    """Does the faults.

    Attributes:
        deployment: What they are done to.
        server: Its Redis.
        fleet: Its processes.
        to_redis: What the processes reach Redis through.
        to_model: What they reach the model through.
        weather: Of the model.
        chance: Decides whom it hits.
        heartbeat_timeout: Of the processes.
    """

    deployment: Deployment
    server: EmbeddedRedis
    fleet: Fleet
    to_redis: Proxy
    to_model: Proxy
    weather: Weather
    chance: random.Random
    heartbeat_timeout: timedelta
    hits: list[Hit] = field(default_factory=list)
    absences_us: list[int] = field(default_factory=list)
    """When Redis went away, by its clock."""
    redis_is_here: bool = True
    """Whether Redis can be asked without a proxy in between."""
    _background: set["asyncio.Task[None]"] = field(default_factory=set)
    _old: list[tuple[str, bytes]] = field(default_factory=list)
    """Bodies of messages, by queue, which may come again."""

    async def do(self, kind: str) -> None:
        """Does one fault and returns; what has to be undone is undone later."""
        fault: Callable[[], Awaitable[Hit | None]] = getattr(self, f"_{kind}")
        if (hit := await fault()) is not None:
            self.hits.append(hit)

    async def end(self) -> None:
        """Waits until all has been undone."""
        await asyncio.gather(*self._background)

    # Processes

    async def _kill_a_process(self) -> Hit | None:
        if not (workers := self.fleet.workers()):
            return None
        return self._kill("kill_a_process", [self._mostly_at_work(workers)])

    async def _kill_a_supervisor(self) -> Hit | None:
        """Its children are asked to end by the kernel, and are started again by the next one."""
        if not (supervisors := self.fleet.supervisors()):
            return None
        return self._kill("kill_a_supervisor", [self.chance.choice(supervisors)])

    async def _kill_a_supervisor_with_all_it_runs(self) -> Hit | None:
        if not (supervisors := self.fleet.supervisors()):
            return None
        victim = self.chance.choice(supervisors)
        children = [Victim(SUPERVISED, pid) for pid in children_of(victim.pid)]
        return self._kill("kill_a_supervisor_with_all_it_runs", [victim, *children])

    async def _freeze_a_process(self) -> Hit | None:
        if not (processes := [*self.fleet.workers(), *self.fleet.supervisors()]):
            return None
        victim = self.chance.choice(processes)
        victim.send(signal.SIGSTOP)
        self._later(self.chance.uniform(0.2, 2.0) * self._heartbeat_s, lambda: victim.send(signal.SIGCONT))
        return Hit("freeze_a_process", self._now_us(), held=self._held_by([victim]), what=victim.kind)

    def _mostly_at_work(self, workers: Sequence[Victim]) -> Victim:
        first, *others = self.chance.sample(workers, len(workers))
        if self.chance.random() < _IDLE_TOO:
            return first
        return next((worker for worker in (first, *others) if self._held_by([worker])), first)

    def _kill(self, kind: str, victims: Sequence[Victim]) -> Hit:
        """Kills processes, which are halted first, so that what they hold does not change while it is looked at."""
        for victim in victims:
            victim.send(signal.SIGSTOP)
        held, at_us = self._held_by(victims), self._now_us()
        for victim in victims:
            victim.send(signal.SIGKILL)
        return Hit(kind, at_us, kills=len(victims), held=held, what=", ".join(victim.kind for victim in victims))

    def _held_by(self, victims: Sequence[Victim]) -> list[Held]:
        pids = {victim.pid for victim in victims}
        return [
            Held(queue, id.decode())
            for info in self.deployment.ask(living_workers())
            if info["pid"] in pids
            for queue in info["queues"]
            for id in self._ids(f"__acks__.{info['worker']}.{queue}")
        ]

    # Redis

    async def _kill_redis(self) -> Hit:
        hit = self._in_flight("kill_redis", kills=1)
        async with self._without_redis():
            os.kill(self.server.pid, signal.SIGKILL)
            await self._redis_comes_back()
        return hit

    async def _restart_redis(self) -> Hit:
        hit = self._in_flight("restart_redis")
        async with self._without_redis():
            self.server.stop()
            await self._redis_comes_back()
        return hit

    async def _redis_comes_back(self) -> None:
        await wait_until(lambda: not self.server.alive, "the death of Redis")
        await asyncio.sleep(self._absence_s())
        self.server.start()

    async def _freeze_redis(self) -> Hit:
        hit = self._in_flight("freeze_redis")
        async with self._without_redis():
            os.kill(self.server.pid, signal.SIGSTOP)
            await asyncio.sleep(self._absence_s())
            os.kill(self.server.pid, signal.SIGCONT)
        return hit

    async def _forget_scripts(self) -> Hit:
        self.deployment.redis.script_flush()
        return self._in_flight("forget_scripts")

    @asynccontextmanager
    async def _without_redis(self) -> AsyncIterator[None]:
        self.absences_us.append(self._now_us())
        self.redis_is_here = False
        try:
            yield
        finally:
            self.redis_is_here = True

    def _absence_s(self) -> float:
        """Mostly short, now and then longer than it takes to be declared dead."""
        return float(self._heartbeat_s * 1.3 * self.chance.random() ** 3)

    # Connections

    async def _cut_connections_to_redis(self) -> Hit:
        hit = self._in_flight("cut_connections_to_redis")
        for _ in range(self.chance.randint(1, 4)):
            self.to_redis.cut(self.chance.uniform(0.2, 1))
            await asyncio.sleep(0.1)
        return hit

    async def _lose_answers_of_redis(self) -> Hit:
        hit = self._in_flight("lose_answers_of_redis")
        self.to_redis.losing_answers = True
        await asyncio.sleep(self.chance.uniform(0.01, 0.2))
        self.to_redis.losing_answers = False
        return hit

    async def _delay_redis(self) -> Hit:
        def undo() -> None:
            self.to_redis.delay_s = 0.0

        self.to_redis.delay_s = self.chance.uniform(0.005, 0.1)
        self._later(self.chance.uniform(0.5, 2), undo)
        return self._in_flight("delay_redis")

    async def _cut_connections_to_the_model(self) -> Hit:
        self.to_model.cut()
        return self._in_flight("cut_connections_to_the_model")

    async def _flood_with_429(self) -> Hit:
        def undo() -> None:
            self.weather.flooded = False

        self.weather.flooded = True
        self._later(self.chance.uniform(0.3, 1.5), undo)
        return self._in_flight("flood_with_429")

    # Messages

    async def _copy_messages(self) -> Hit:
        """Messages that wait, that are in flight and that are long done come again, under ids of their own."""
        hit = self._in_flight("copy_messages")
        for queue in QUEUES:
            drawn: Any = self.deployment.redis.hrandfield(f"{self.deployment.prefix}:{queue}.msgs", _COPIES) or []
            bodies: Any = self.deployment.redis.hmget(f"{self.deployment.prefix}:{queue}.msgs", drawn) if drawn else []
            fresh = [(queue, body) for body in bodies if body]
            old = self.chance.sample(self._old, min(_COPIES // 4, len(self._old)))
            for where, body in [*fresh, *old]:
                push(self.deployment, where, body)
            self._old = [*self._old, *fresh][-_OLD_BODIES:]
        return hit

    # Looking on

    @property
    def _heartbeat_s(self) -> float:
        return self.heartbeat_timeout.total_seconds()

    def _in_flight(self, kind: str, *, kills: int = 0) -> Hit:
        owned: dict[str, Any] = {
            queue: self.deployment.redis.hkeys(f"{self.deployment.prefix}:{queue}:deliveries") for queue in QUEUES
        }
        held = [Held(queue, id.decode()) for queue, ids in owned.items() for id in ids]
        return Hit(kind, self._now_us(), kills=kills, held=held)

    def _ids(self, key: str) -> set[bytes]:
        ids: Any = self.deployment.redis.smembers(f"{self.deployment.prefix}:{key}")
        return set(ids)

    def _now_us(self) -> int:
        now: Any = self.deployment.redis.time()
        return int(now[0]) * 1_000_000 + int(now[1])

    def _later(self, seconds: float, undo: Callable[[], None]) -> None:
        async def wait_and_undo() -> None:
            try:
                await asyncio.sleep(seconds)
            finally:
                undo()

        task = asyncio.create_task(wait_and_undo())
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def quietly(what: Callable[[], None]) -> None:
    """Does something that needs Redis, or leaves it for the next time if Redis is away."""
    with suppress(redis.ConnectionError, redis.TimeoutError):
        what()
