"""Running worker processes: one that dies is started again, while the others go on.

The stock `dramatiq` command stops all processes when one of them is killed. Here a child's death is noticed at once,
what it held is given back at once, and it comes back after a pause that grows while it keeps dying. A child that a tool
keeps from beating is vouched for, as its process lives. Only the standard library is imported here: a supervisor stands
beside every worker, and most of them never need more.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from messaging.processes.die_with_parent import guarded_command, way_of_this_platform
from messaging.processes.life_line import LifeLine

if TYPE_CHECKING:
    from messaging.processes.advocate import Advocate

__all__ = ["ChildSpec", "Supervisor"]

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 10.0
#: A child that lived this long has recovered: its next death is a first one again.
_SETTLED_AFTER_S: Final = 10.0
_LOOK_INTERVAL_S: Final = 0.05
#: How much longer than their own stop time-out children get before they are killed.
_KILL_MARGIN: Final = timedelta(seconds=5)
#: A child that has been silent for so many of its beats may be held by a tool.
_BEATS_UNTIL_VOUCHING: Final = 2
_LONGEST_BEAT_S: Final = 0.5
#: With a shorter heartbeat time-out there is no time to import what an advocate needs once a child is silent.
_TIME_TO_IMPORT_S: Final = 3.0
#: A child that lives but has been silent for this long hangs, and is killed.
DEFAULT_HUNG_TIMEOUT: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A process to keep running: `python -m orchestrator`, `python -m workers`, or one that ignores `--life-line`."""

    name: str
    """For log lines, such as `property 2`."""
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to this process's own."""


@dataclass(slots=True)
class _Running:
    """A child's process."""

    process: "subprocess.Popen[bytes]"
    line: LifeLine
    started_at: float
    heard_at: float
    worker: str | None = None


@dataclass(slots=True)
class _Child:
    spec: ChildSpec
    running: _Running | None = None
    start_at: float = 0.0
    deaths: int = 0
    retire_by: float | None = None
    """When it is killed, if it has been asked to end for good."""


class Supervisor:
    """Keeps processes running until it is told to stop. Use it from the main thread only.

    Args:
        advocate: Makes what speaks for the children in Redis; called when it is needed.
        heartbeat_timeout: Of the children.
        stop_timeout: How long the children themselves wait for their work in flight.
        hung_timeout: A child that has given no sign of life for this long is killed and started again. One that is
            silent for less is not taken for dead: the supervisor vouches for its process.
    """

    def __init__(
        self,
        advocate: "Callable[[], Advocate]",
        *,
        heartbeat_timeout: timedelta,
        stop_timeout: timedelta,
        hung_timeout: timedelta = DEFAULT_HUNG_TIMEOUT,
    ) -> None:
        self._make_advocate = advocate
        self._made_advocate: Advocate | None = None
        self._heartbeat_timeout_s = heartbeat_timeout.total_seconds()
        self._beat_s = min(_LONGEST_BEAT_S, self._heartbeat_timeout_s / 5)
        self._stop_timeout = stop_timeout
        self._hung_timeout_s = hung_timeout.total_seconds()
        self._vouch_at = 0.0
        self._children: list[_Child] = []
        self._stopping = False

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the living children, by name; those that are retiring too."""
        return {child.spec.name: child.running.process.pid for child in self._children if child.running is not None}

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
            if child.running is not None:
                child.running.process.terminate()

    def run(self) -> None:
        """Watches over the children until SIGTERM or SIGINT, then stops them."""
        handlers = {signal.SIGTERM: self._ask_to_stop, signal.SIGINT: self._ask_to_stop, signal.SIGCHLD: _only_wake}
        previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        if len(self._children) > 1 or self._heartbeat_timeout_s < _TIME_TO_IMPORT_S:
            self._advocate()  # while the children start: what one of them holds is to go to the others at once
        bell, ringing = os.pipe()
        os.set_blocking(bell, False)
        os.set_blocking(ringing, False)
        signal.set_wakeup_fd(ringing, warn_on_full_buffer=False)
        try:
            while not self._stopping:
                self.look()
                self._wait(bell)
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in previous.items():
                signal.signal(number, handler)
            self.stop()
            os.close(bell)
            os.close(ringing)

    def look(self) -> None:
        """Notices children that have died, gives back what they held, and starts those whose pause is over."""
        now = time.monotonic()
        self._listen(now)
        for child in self._children:
            if child.running is not None and (status := child.running.process.poll()) is not None:
                self._bury(child, child.running, status)
            elif child.retire_by is not None and now >= child.retire_by:
                self._kill(child, "it did not stop in time")
            elif child.retire_by is None and child.running is None and now >= child.start_at:
                self._spawn(child)
        self._children = [child for child in self._children if child.running is not None or child.retire_by is None]

    def stop(self) -> None:
        """Asks all children to finish, and kills those that do not within their time."""
        for name in self.kept:
            self.retire(name)
        while self._children:
            self.look()
            time.sleep(_LOOK_INTERVAL_S)

    def _ask_to_stop(self, number: int, frame: object) -> None:
        self._stopping = True

    def _advocate(self) -> "Advocate":
        if self._made_advocate is None:
            self._made_advocate = self._make_advocate()
        return self._made_advocate

    def _wait(self, bell: int) -> None:
        """Returns when there is something to look at."""
        starts = [child.start_at - time.monotonic() for child in self._children if child.running is None]
        lines = [child.running.line for child in self._children if child.running and child.running.line.is_open]
        waiting_for: list[LifeLine | int] = [bell, *lines]
        ready, _, _ = select.select(waiting_for, [], [], max(0.0, min([self._beat_s, *starts])))
        if bell in ready:
            os.read(bell, 4096)

    def _spawn(self, child: _Child) -> None:
        line = LifeLine()
        command = [*child.spec.command, line.option]
        # The command is ours. Children get a session of their own, so that Ctrl-C reaches them through us only.
        process = subprocess.Popen(  # noqa: S603
            guarded_command(command, parent=os.getpid(), way=way_of_this_platform()),
            env={**os.environ, **child.spec.environment},
            start_new_session=True,
            pass_fds=[line.for_child],
        )
        line.keep_this_side()
        child.running = _Running(process, line, time.monotonic(), time.monotonic())

    def _bury(self, child: _Child, running: _Running, status: int) -> None:
        now = time.monotonic()
        running.worker = running.line.hear() or running.worker
        running.line.close()
        child.running = None
        if child.retire_by is None:
            child.deaths = 1 if now - running.started_at > _SETTLED_AFTER_S else child.deaths + 1
            pause_s = min(_FIRST_PAUSE_S * 2 ** (child.deaths - 1), _LONGEST_PAUSE_S)
            child.start_at = now + pause_s
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            self._advocate().tell_of_death(child.spec.name, pid=running.process.pid, how=how, pause_s=pause_s)
        elif status == 0:
            return
        if running.worker is not None:
            self._advocate().give_back(running.worker)

    def _listen(self, now: float) -> None:
        """Hears who can run; vouches for those that are silent, and kills those that hang."""
        silent: list[str] = []
        for child in self._children:
            running = child.running
            if running is None:
                continue
            if worker := running.line.hear():
                running.worker, running.heard_at = worker, now
            if running.worker is None:
                continue  # it has not begun to beat, or is of a kind that does not
            silent_s = now - running.heard_at
            if silent_s > self._hung_timeout_s:
                self._kill(child, f"it has been silent for {silent_s:.0f} s")
            elif silent_s > self._beat_s * _BEATS_UNTIL_VOUCHING:
                silent.append(running.worker)
        if silent and now >= self._vouch_at:
            self._vouch_at = now + self._beat_s
            self._advocate().vouch(silent)

    def _kill(self, child: _Child, why: str) -> None:
        if child.running is not None:
            child.running.heard_at = time.monotonic()
            self._advocate().tell_of_killing(child.spec.name, pid=child.running.process.pid, why=why)
            child.running.process.kill()


def _only_wake(number: int, frame: object) -> None:
    """Nothing to do: that the signal came ends the wait."""
