"""Running several worker processes: one that dies is started again, while the others go on.

The stock `dramatiq` command stops all processes when one of them is killed. Here a child's death is noticed at once,
what it held is given back at once, and it comes back after a pause that grows while it keeps dying.
"""

import os
import platform
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from messaging import queue_commands
from messaging.command_runner import TRANSIENT, BlockingRunner
from messaging.die_with_parent import guarded_command, way_of_this_platform
from messaging.envelopes import living_workers

_log = structlog.get_logger(__name__)

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 10.0
#: A child that lived this long has recovered: its next death is a first one again.
_SETTLED_AFTER_S: Final = 10.0
_LOOK_INTERVAL_S: Final = 0.05
#: How much longer than their own stop time-out children get before they are killed.
_KILL_MARGIN: Final = timedelta(seconds=5)
#: How often children are vouched for, which is well within the shortest sensible heartbeat time-out.
_VOUCH_INTERVAL_S: Final = 0.5
#: A child that lives but has not beaten for this long hangs, and is killed.
DEFAULT_HUNG_TIMEOUT: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A process to keep running."""

    name: str
    """For log lines, such as `property 2`."""
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to this process's own."""


@dataclass(slots=True)
class _Child:
    spec: ChildSpec
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    start_at: float = 0.0
    deaths: int = 0
    retire_by: float | None = None
    """When it is killed, if it has been asked to end for good."""


class Supervisor:
    """Keeps processes running until it is told to stop. Use it from the main thread only.

    Args:
        runner: To give back what a dead child held.
        stop_timeout: How long the children themselves wait for their work in flight.
        hung_timeout: A child that has given no sign of life for this long is killed and started again. A tool that
        holds
            the interpreter for less is not taken for dead: the supervisor vouches for its process.
    """

    def __init__(
        self, runner: BlockingRunner, *, stop_timeout: timedelta, hung_timeout: timedelta = DEFAULT_HUNG_TIMEOUT
    ) -> None:
        self._runner = runner
        self._stop_timeout = stop_timeout
        self._hung_timeout = hung_timeout
        self._vouch_at = 0.0
        self._children: list[_Child] = []
        self._stopping = False

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the living children, by name; those that are retiring too."""
        return {child.spec.name: child.process.pid for child in self._children if child.process is not None}

    @property
    def kept(self) -> list[str]:
        """The names of the children that are kept running, in the order in which they were started."""
        return [child.spec.name for child in self._children if child.retire_by is None]

    def start(self, specs: Sequence[ChildSpec]) -> None:
        """Starts processes, besides those that run already."""
        for spec in specs:
            child = _Child(spec)
            self._children.append(child)
            self._spawn(child)

    def retire(self, name: str) -> None:
        """Asks a child to finish what it has in flight and to end for good; `look` sees to it."""
        for child in [child for child in self._children if child.spec.name == name and child.retire_by is None]:
            child.retire_by = time.monotonic() + (self._stop_timeout + _KILL_MARGIN).total_seconds()
            if child.process is not None:
                child.process.terminate()

    def run(self) -> None:
        """Watches over the children until SIGTERM or SIGINT, then stops them."""
        previous = {number: signal.signal(number, self._stop_requested) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            while not self._stopping:
                self.look()
                time.sleep(_LOOK_INTERVAL_S)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            self.stop()

    def look(self) -> None:
        """Notices children that have died, gives back what they held, and starts those whose pause is over."""
        now = time.monotonic()
        if now >= self._vouch_at:
            self._vouch_at = now + _VOUCH_INTERVAL_S
            self._vouch()
        for child in self._children:
            if child.process is not None and (status := child.process.poll()) is not None:
                self._bury(child, status)
            elif child.retire_by is not None:
                self._hurry(child, now)
            elif child.process is None and now >= child.start_at:
                self._spawn(child)
        self._children = [child for child in self._children if child.process is not None or child.retire_by is None]

    def stop(self) -> None:
        """Asks all children to finish, and kills those that do not within their time."""
        living = [child.process for child in self._children if child.process is not None]
        for process in living:
            process.terminate()
        give_up_at = time.monotonic() + (self._stop_timeout + _KILL_MARGIN).total_seconds()
        for process in living:
            try:
                process.wait(max(0.1, give_up_at - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.error("killed a process that did not stop", pid=process.pid)
                process.kill()
                process.wait()
                self._give_back(process.pid)
        self._children.clear()

    def _stop_requested(self, number: int, frame: object) -> None:
        self._stopping = True

    def _spawn(self, child: _Child) -> None:
        command = guarded_command(child.spec.command, parent=os.getpid(), way=way_of_this_platform())
        # The command is ours. Children get a session of their own, so that Ctrl-C reaches them through us only.
        child.process = subprocess.Popen(  # noqa: S603
            command, env={**os.environ, **child.spec.environment}, start_new_session=True
        )
        child.started_at = time.monotonic()

    def _bury(self, child: _Child, status: int) -> None:
        assert child.process is not None
        pid, lived_s = child.process.pid, time.monotonic() - child.started_at
        child.process = None
        if child.retire_by is not None:
            if status != 0:
                self._give_back(pid)
            return
        child.deaths = 1 if lived_s > _SETTLED_AFTER_S else child.deaths + 1
        pause_s = min(_FIRST_PAUSE_S * 2 ** (child.deaths - 1), _LONGEST_PAUSE_S)
        child.start_at = time.monotonic() + pause_s
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        _log.error("a process died and is started again", name=child.spec.name, pid=pid, how=how, in_s=pause_s)
        self._give_back(pid)

    def _hurry(self, child: _Child, now: float) -> None:
        """Kills a child that was asked to end and has not done so in its time."""
        assert child.retire_by is not None
        if child.process is not None and now >= child.retire_by:
            _log.error("killed a process that did not stop", name=child.spec.name, pid=child.process.pid)
            child.process.kill()

    def _vouch(self) -> None:
        """Says for the children that they live, and kills those that hang."""
        pids = set(self.pids.values())
        try:
            mine = {worker: pid for worker, pid in self._workers().items() if pid in pids}
            hung = self._runner.run(queue_commands.vouch(list(mine), hung_timeout=self._hung_timeout)) if mine else ()
        except TRANSIENT:
            return  # nobody is declared dead while Redis is away
        for worker in hung:
            _log.error("killed a process that hangs", pid=mine[worker], silent_for_s=self._hung_timeout.total_seconds())
            for child in self._children:
                if child.process is not None and child.process.pid == mine[worker]:
                    child.process.kill()

    def _workers(self) -> dict[str, int]:
        """The living workers of this machine, and their processes."""
        here = platform.node()
        living = self._runner.run(living_workers())
        return {worker["worker"]: worker["pid"] for worker in living if worker.get("host") == here}

    def _give_back(self, pid: int) -> None:
        try:
            for worker, of_pid in self._workers().items():
                if of_pid == pid:
                    returned = self._runner.run(queue_commands.leave(worker, died=True))
                    _log.info("gave back what it held", pid=pid, messages=returned)
        except TRANSIENT as error:
            _log.warning("could not give back what it held; others will after the heartbeat time-out", error=str(error))
