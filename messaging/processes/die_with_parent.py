"""Runs a command that must not outlive the process that started it, even when that one is killed with SIGKILL.

Used as a script (`python -I -S die_with_parent.py <how> <pid of the parent> <command> …`), so it imports nothing
of ours. When the parent is gone the command gets SIGTERM, which lets a Redis server finish its file.

There are two ways. `kernel` (Linux) asks the kernel for the signal and becomes the command. `watch` (macOS, which has
no such request) stays as the command's parent, passes on SIGTERM, and looks for its own parent several times a second.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

__all__ = ["Way", "guarded_command", "way_of_this_platform"]

Way: TypeAlias = Literal["kernel", "watch"]

_PR_SET_PDEATHSIG: Final = 1
_WATCH_INTERVAL_S: Final = 0.2


def way_of_this_platform() -> Way:
    """Tells which of the two ways works here."""
    return "kernel" if sys.platform == "linux" else "watch"


def guarded_command(command: Sequence[str], *, parent: int, way: Way) -> list[str]:
    """Returns the command line that runs `command` guarded.

    With the way `kernel` it must be started from the main thread: the kernel sends the signal when the *thread* that
    started the command ends.

    Args:
        command: The program, by its full path, and its arguments.
        parent: The process id of who starts it.
        way: How it learns that the parent is gone.
    """
    return [sys.executable, "-I", "-S", __file__, way, str(parent), *command]


def _become(command: Sequence[str], *, parent: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        print(f"prctl: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        return 1
    if os.getppid() != parent:  # it died before we asked
        return 0
    os.execv(command[0], list(command))  # noqa: S606 - no shell is the point


def _watch(command: Sequence[str], *, parent: int) -> int:
    asked_to_stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: asked_to_stop.append(number))
    child = subprocess.Popen(command, close_fds=False)  # noqa: S603 - the command is our caller's
    while not asked_to_stop and os.getppid() == parent:
        try:
            return child.wait(timeout=_WATCH_INTERVAL_S)
        except subprocess.TimeoutExpired:
            continue
    child.terminate()
    return child.wait()


if __name__ == "__main__":
    _how, _parent, *_command = sys.argv[1:]
    sys.exit({"kernel": _become, "watch": _watch}[_how](_command, parent=int(_parent)))
