"""Processes that a benchmark starts, and what they use: CPU time and memory, as the kernel counts them.

This module must not know what the processes do.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benchmarks.machine import busy_s
from messaging.processes.die_with_parent import guarded_command, way_of_this_platform

_STOP_PATIENCE_S: Final = 15.0
_LOG_TAIL_BYTES: Final = 2000
_ROOT: Final = Path(__file__).parent.parent


def cpu_s(pid: int) -> float:
    """The CPU time, user and system, that a process has used with all its threads, in seconds.

    The same as `utime` + `stime` of `/proc/<pid>/stat`, from the clock that clock_getcpuclockid(3) names: in
    nanoseconds instead of hundredths of a second, which an idle process would take seconds to use up.
    """
    return time.clock_gettime(~pid << 3 | 2)


def rss_mib(pid: int) -> float:
    """What a process has in memory now."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(kib) / 1024


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for member in found:  # grows while it is read
        found += children.get(member, ())
    return found


def _parent(entry: Path) -> int | None:
    try:
        # The second field is the command's name in parentheses and may hold anything.
        return int((entry / "stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None  # it has ended meanwhile


class MeasuredProcesses:
    """Python processes by name, with whatever they start themselves. Stopped when its `with` block ends.

    Args:
        log_dir: Where what they write goes.
    """

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._adopted: dict[str, int] = {}
        self._members: dict[str, list[int]] = {}
        self._used_by_killed_s: dict[str, float] = {}

    @property
    def living(self) -> Sequence[str]:
        """The names of those that were started here and not killed."""
        return tuple(self._started)

    def start(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], *, program: str = sys.executable
    ) -> None:
        """Starts `python <arguments>`, or another program, in the repository's root.

        Args:
            name: By which it is asked for; free again when its process was killed or has ended.
            arguments: Of the program.
            environment: Besides our own.
            program: By its full path.
        """
        with self.log(name).open("wb") as stream:
            self._started[name] = subprocess.Popen(
                guarded_command([program, *arguments], parent=os.getpid(), way=way_of_this_platform()),
                cwd=_ROOT,
                env={**os.environ, **environment},
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._members[name] = [self._started[name].pid]

    def adopt(self, name: str, pid: int) -> None:
        """Measures a process that somebody else started and stops."""
        self._adopted[name] = pid
        self._members[name] = [pid]

    def all_are_up(self) -> None:
        """Looks for the families of the processes: from now on, or until somebody looks again, they are measured."""
        started = {name: process.pid for name, process in self._started.items()}
        self._members = {name: family(pid) for name, pid in (self._adopted | started).items()}

    def cpu_s(self) -> dict[str, float]:
        """The CPU time that each has used so far, seconds."""
        try:
            used_s = {name: sum(map(cpu_s, pids)) for name, pids in self._members.items()}
            return self._used_by_killed_s | used_s
        except OSError as error:
            raise RuntimeError(f"a process of the benchmark has ended:\n{self.logs()}") from error

    def pids(self, name: str) -> Sequence[int]:
        """One with whatever it has started itself."""
        return self._members[name]

    def kill(self, name: str) -> None:
        """Ends one with all that it has started, in the way nobody can prepare for."""
        process, pids = self._started.pop(name), self._members.pop(name)
        self._used_by_killed_s[name] = sum(map(cpu_s, pids))
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def kill_one(self, pid: int) -> None:
        """Ends a single process of those that were started here, or that these have started."""
        assert any(pid in members for members in self._members.values())
        os.kill(pid, signal.SIGKILL)

    def wait_for_end(self, name: str, patience_s: float) -> bool:
        """Whether one ends by itself within some time, so that its name is free again."""
        process = self._started[name]
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            return False
        del self._started[name]
        self._members.pop(name, None)
        return True

    def rss_mib(self, name: str) -> float:
        """What one has in memory now."""
        return sum(map(rss_mib, self._members[name]))

    def log(self, name: str) -> Path:
        """What a process writes."""
        return self._log_dir / f"{name}.log"

    def logs(self) -> str:
        """The ends of what the processes wrote, for messages."""
        ends = [(name, self.log(name).read_bytes()[-_LOG_TAIL_BYTES:]) for name in self._started]
        return "\n".join(f"--- {name}\n{end.decode(errors='replace')}" for name, end in ends)

    def pause(self) -> None:
        """Halts those that were started here, so that they do not disturb what is measured next."""
        self._signal(signal.SIGSTOP)

    def resume(self, *names: str) -> None:
        """Lets them go on, or some of them."""
        self._signal(signal.SIGCONT, *names)

    def _signal(self, number: signal.Signals, *names: str) -> None:
        for name in names or self._started:
            for pid in self._members[name]:
                with suppress(ProcessLookupError):  # its end shows when it is measured
                    os.kill(pid, number)

    def stop(self) -> None:
        """Ends all that were started here, politely at first."""
        for process in self._started.values():
            process.terminate()
        if self._members:
            self.resume()  # whoever is halted does not hear that it shall end
        for process in self._started.values():
            try:
                process.wait(_STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # the leader of a session of its own
                process.wait()
        self._started.clear()
        self._members.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Company:
    """What the rest of the machine does while something is measured; a `with` block.

    Args:
        measured: The processes that are no company. Neither is this one.
        others: Further ones, by process id.
    """

    def __init__(self, *measured: MeasuredProcesses, others: Sequence[int] = ()) -> None:
        self._measured = measured
        self._others = others
        self.share = 0.0
        """Of all processors, when the block has ended."""

    def _own_s(self) -> float:
        of_measured_s = sum(sum(processes.cpu_s().values()) for processes in self._measured)
        return of_measured_s + sum(map(cpu_s, self._others)) + time.process_time()

    def __enter__(self) -> Self:
        self._began, self._busy_s, self._used_s = time.perf_counter(), busy_s(), self._own_s()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            others_s = busy_s() - self._busy_s - (self._own_s() - self._used_s)
            took_s = time.perf_counter() - self._began
            self.share = max(0.0, others_s / took_s / (os.cpu_count() or 1))
