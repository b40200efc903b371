"""A worker as people see it: a process of a machine that serves queues."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FindProcess", "WorkerProcess"]


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A process that consumes queues."""

    worker: str
    """The id that it has in events."""
    pid: int
    host: str = ""
    """Empty for this machine."""
    queues: tuple[str, ...] = ()
    started: int = 0
    """Seconds since 1970, by its own clock."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if self.host else f"process {self.pid}"


#: Finds the process of a worker by its id; None if nobody knows it any more.
FindProcess = Callable[[str], WorkerProcess | None]
