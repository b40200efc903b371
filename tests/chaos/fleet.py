"""The processes of a deployment under attack: one of each kind by itself, and one of each kind under a supervisor.

Whatever dies is started again, as an init or a container runtime would.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from messaging.processes.supervisor import ChildSpec
from tests.chaos import chaos_tools
from tests.scenarios.deployment import Deployment
from tests.scenarios.faulty_process import Role
from tests.scenarios.processes import Process
from trunkline.command_line.children import orchestrator_children, telemetry_children, worker_children

POOLS: Final = ("reading", "repeating", "paying", "threads")
#: The kind of a process that a supervisor has started.
SUPERVISED: Final = "a supervised process"
_ANY_PORT: Final = {"OTEL_EXPORTER_PROMETHEUS_PORT": "0"}
_PAUSE_S: Final = 0.3
_SLOTS: Final = 32


@dataclass(frozen=True)
class Victim:
    """A process that may be killed or frozen."""

    kind: str
    pid: int

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, if it still lives."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Fleet:
    """Starts the processes, and starts them again.

    Args:
        deployment: Whose they are.
        settings: `TRUNKLINE_*` variables, in lower case, of all of them.
    """

    def __init__(self, deployment: Deployment, settings: Mapping[str, Any]) -> None:
        self._deployment = deployment
        self._settings = {**settings, "tools": chaos_tools.__file__, "calls_at_once": _SLOTS}
        self._places: dict[str, Callable[[], Process]] = {
            "orchestrator": partial(self._start, "orchestrator"),
            **{pool: partial(self._start, "workers", pool) for pool in POOLS},
            "supervisor 1": partial(
                self._supervise, *orchestrator_children(1, {}), *telemetry_children(1, _ANY_PORT), *_workers("paying")
            ),
            "supervisor 2": partial(
                self._supervise, *_workers("reading"), *_workers("repeating"), *_workers("threads")
            ),
        }
        self._running: dict[str, Process] = {}
        self._start_at: dict[str, float] = {}
        self.deaths = 0
        """How often something was found dead and started again; a supervisor starts its children itself."""

    async def begin(self) -> None:
        """Starts them all, and waits until those serve that are not under a supervisor."""
        self._running = {name: start() for name, start in self._places.items()}
        await self._deployment.serving(*(process for name, process in self._running.items() if not _supervises(name)))

    def look(self) -> None:
        """Starts again what has died."""
        now = time.monotonic()
        for name, process in self._running.items():
            if process.alive:
                continue
            if name not in self._start_at:
                self._start_at[name] = now + _PAUSE_S
                self.deaths += 1
            elif now >= self._start_at[name]:
                del self._start_at[name]
                self._running[name] = self._places[name]()

    def workers(self) -> list[Victim]:
        """The processes that live now, without the supervisors."""
        return [
            *(Victim(name, process.pid) for name, process in self._living() if not _supervises(name)),
            *(Victim(SUPERVISED, pid) for one in self.supervisors() for pid in children_of(one.pid)),
        ]

    def supervisors(self) -> list[Victim]:
        """The supervisors that live now."""
        return [Victim("supervisor", process.pid) for name, process in self._living() if _supervises(name)]

    def _living(self) -> Iterator[tuple[str, Process]]:
        yield from ((name, process) for name, process in self._running.items() if process.alive)

    def _start(self, role: Role, pool: str | None = None) -> Process:
        return self._deployment.start(role, pool=pool, **self._settings)

    def _supervise(self, *children: ChildSpec) -> Process:
        return self._deployment.supervise(*children, **self._settings)


def _workers(*pools: str) -> list[ChildSpec]:
    return [child for pool in pools for child in worker_children(1, {"TRUNKLINE_POOL": pool})]


def _supervises(place: str) -> bool:
    return place.startswith("supervisor")


def children_of(pid: int) -> list[int]:
    """The processes that a process has started, as Linux tells it; none if it is gone."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    except OSError:
        return []
