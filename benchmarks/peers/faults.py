"""Kills what runs the tools while jobs are outstanding, and looks what becomes of them.

There are two faults. `process`: the one process that runs the tools is killed, and whatever supervises it does what it
does; where its whole service ends of it, the service is started again at once, as an init system would. `service`: the
tools' service is killed with all its processes, as when its container is, and started again at once.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from benchmarks.contenders.contender import WORKER
from benchmarks.load import JobFailed
from benchmarks.measured_processes import cpu_s, family
from benchmarks.peers.contenders import Running
from benchmarks.peers.load_elsewhere import Ends

Fault = Literal["process", "service"]
FAULTS: Final[Sequence[Fault]] = ("process", "service")
BURSTS: Final = 2
BURST_JOBS: Final = 100
ENDED_BEFORE: Final = 30
PATIENCE_S: Final = 75.0
"""From the last fault on; more than twice what those who work by time-outs are set to."""
_BURST_PATIENCE_S: Final = 30.0
_STAY_S: Final = 6.0


@dataclass(slots=True)
class Suffered:
    """One contender under one fault."""

    killed_at: list[float] = field(default_factory=list)
    outstanding: int = 0
    """Jobs, when they were killed."""
    restarted: int = 0
    """How often the service had to be started by us."""
    ends: Ends | None = None

    @property
    def lost(self) -> int:
        """Jobs that have not ended."""
        assert self.ends is not None
        return sum(self.ends.missing)

    @property
    def last_end_s(self) -> float:
        """The longest time from a fault to the end of the last job that did end."""
        assert self.ends is not None
        return max(end - killed for end, killed in zip(self.ends.last_end_at, self.killed_at, strict=True))


def strike(running: Running, fault: Fault) -> Suffered:
    """Kills while bursts of jobs are outstanding; after each it stays for some seconds, while there is work left.

    Whose jobs have not all ended then is left waiting for them: `look_after` tells what has become of them.
    """
    suffered = Suffered()
    running.load.forget()
    for burst in range(BURSTS):
        ended = running.load.burst(BURST_JOBS, until_ended=ENDED_BEFORE, patience_s=_BURST_PATIENCE_S)
        if ended < ENDED_BEFORE:
            raise JobFailed(f"{ended} of {BURST_JOBS} jobs ended before the fault, within {_BURST_PATIENCE_S:.0f} s")
        running.processes.all_are_up()
        suffered.outstanding += BURST_JOBS - ended
        suffered.killed_at.append(time.monotonic())
        _kill(running, fault)
        if fault == "service":
            running.start_worker()
            suffered.restarted += 1
        is_last = burst == BURSTS - 1
        running.load.start_collecting(patience_s=PATIENCE_S if is_last else _STAY_S)
        if fault == "process":
            suffered.restarted += _start_again_if_ended(running)
        if is_last:
            suffered.ends = running.load.collected(within_s=_STAY_S)
        else:
            running.load.collected()
    return suffered


def look_after(running: Running, suffered: Suffered) -> None:
    """Waits until all jobs have ended, or the patience is over."""
    if suffered.ends is None:
        suffered.ends = running.load.collected()


def _kill(running: Running, fault: Fault) -> None:
    if fault == "service":
        running.processes.kill(WORKER)
    else:
        # Supervisors have children; beside those who run tools there may be a tracker of resources, which has no work.
        childless = [pid for pid in running.processes.pids(WORKER) if family(pid) == [pid]]
        running.processes.kill_one(max(childless, key=cpu_s))


def _start_again_if_ended(running: Running) -> int:
    if not running.processes.wait_for_end(WORKER, _STAY_S):
        return 0
    running.start_worker()
    return 1
