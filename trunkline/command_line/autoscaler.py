"""Scaling the pools of this machine: looks at the queues now and then, and has processes started and retired.

What it decides is `messaging.processes.pool_size`; this module only asks and does.
"""

import itertools
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from messaging.command_runner import TRANSIENT, BlockingRunner
from messaging.processes.pool_size import Bounds, Load, ScalingPolicy, next_size
from messaging.processes.supervisor import Supervisor
from messaging.queue_states import QueueState, read_queue_states
from trunkline.command_line.children import worker_child, worker_name

__all__ = ["Autoscaler", "ScaledPool"]

_log = structlog.get_logger(__name__)

#: How often the queues are looked at.
_INTERVAL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class ScaledPool:
    """A pool whose number of processes follows its load."""

    name: str
    bounds: Bounds
    policy: ScalingPolicy
    environment: Mapping[str, str]
    """Of its processes."""
    loads: deque[Load] = field(default_factory=deque)
    """Of late, oldest first."""


class Autoscaler:
    """Keeps the pools of a supervisor as large as their queues need.

    Args:
        runner: To look at the queues.
        supervisor: Of the processes. Those of a pool are called as `children` calls them.
        pools: The pools to scale.
    """

    def __init__(self, runner: BlockingRunner, supervisor: Supervisor, pools: Iterable[ScaledPool]) -> None:
        self._runner = runner
        self._supervisor = supervisor
        self._pools = list(pools)
        self._look_at = 0.0

    def look(self) -> None:
        """Looks at the queues if it is time to, and changes what has to change. Call it often."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _INTERVAL_S
        try:
            states = {state.name: state for state in self._runner.run(read_queue_states())}
        except TRANSIENT:
            return  # who cannot see leaves things as they are
        for pool in self._pools:
            if state := states.get(pool.name):
                self._scale(pool, state, at=timedelta(seconds=now))

    def _scale(self, pool: ScaledPool, state: QueueState, *, at: timedelta) -> None:
        pool.loads.append(Load(at=at, runnable=state.runnable, in_flight=state.in_flight))
        remembered = max(pool.policy.up_after, pool.policy.down_after)
        while at - pool.loads[0].at > remembered:
            pool.loads.popleft()
        mine = [name for name in self._supervisor.kept if name.rpartition(" ")[0] == pool.name]
        wanted = next_size(pool.loads, current=len(mine), bounds=pool.bounds, policy=pool.policy)
        if wanted == len(mine):
            return
        load = {"runnable": state.runnable, "in_flight": state.in_flight, "throttled": state.throttled}
        _log.info("scaled a pool", pool=pool.name, processes=wanted, before=len(mine), **load)
        for name in mine[wanted:]:  # the youngest first
            self._supervisor.retire(name)
        taken = self._supervisor.kept + list(self._supervisor.pids)
        free = (number for number in itertools.count(1) if worker_name(pool.name, number) not in taken)
        for _ in range(wanted - len(mine)):
            self._supervisor.start([worker_child(next(free), pool.environment)])
