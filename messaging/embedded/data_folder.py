"""The folder of an embedded Redis: private to its user, and of one process at a time.

The lock is an `flock`, which the kernel ends with the last process that holds it. The server inherits it, so that after
a kill -9 of its parent nobody else gets the folder before the server has written its last byte. This module knows
nothing of servers.
"""

import fcntl
import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

from messaging.errors import DataFolderInUse, DataFolderUnsafe

__all__ = ["FolderLock", "make_private", "process_exists", "write_private"]

_LOCK_FILE: Final = "lock"
_LOOK_AGAIN_S: Final = 0.02
_DYING_S: Final = 0.5
"""How long a holder that lives is waited for: it may just be ending."""


def make_private(folder: Path) -> None:
    """Makes a folder that is ours alone, if it is missing; nobody but its owner may look into it then.

    The folder above it is made private too if it is missing, and left as it is if not: somebody may have named their
    home.

    Raises:
        DataFolderUnsafe: It belongs to another user, is no folder, or cannot be made.
    """
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise DataFolderUnsafe(f"{folder} belongs to another user; set TRUNKLINE_DATA_DIR to a folder of your own")
        folder.chmod(0o700)
    except OSError as error:
        raise DataFolderUnsafe(
            f"cannot use the folder {folder}: {error.strerror}; set TRUNKLINE_DATA_DIR to another one"
        ) from error


def write_private(file: Path, text: str) -> None:
    """Writes a file that only its owner can read, in one step: a reader sees the old text or the new one."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)


def process_exists(pid: int) -> bool:
    """Tells whether a process of this id lives. On macOS a dead one that nobody has waited for counts too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()[0] != "Z"
    except OSError:  # it has just ended, or this is not Linux
        return sys.platform != "linux"


class FolderLock:
    """Holds a folder for this process and for the children that inherit `descriptor`.

    Args:
        folder: Must exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """The open file that holds the lock; a child that has it holds the lock too."""
        if self._descriptor is None:
            raise RuntimeError("the folder is not locked")
        return self._descriptor

    def acquire(self, *, patience: timedelta) -> None:
        """Takes the lock. Does nothing if it is held.

        Args:
            patience: How long to wait for a server whose parent is dead already to finish.

        Raises:
            DataFolderInUse: Somebody living has it, or what a dead process left behind does not end.
            DataFolderUnsafe: Its file system has no locks.
        """
        if self._descriptor is not None:
            return
        descriptor = os.open(self._folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = _read_holder(descriptor)
                alive = holder is not None and process_exists(holder)
                if time.monotonic() - began >= (_DYING_S if alive else patience.total_seconds()):
                    os.close(descriptor)
                    raise DataFolderInUse(self._folder, holder) from None
            except OSError as error:  # some network file systems
                os.close(descriptor)
                raise DataFolderUnsafe(f"cannot lock the folder {self._folder}: {error.strerror}") from error
            time.sleep(_LOOK_AGAIN_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid()}).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Gives the folder up. Does nothing if it is not held."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def _read_holder(descriptor: int) -> int | None:
    try:
        return int(json.loads(os.pread(descriptor, 100, 0))["pid"])
    except (ValueError, KeyError, TypeError):  # not written yet, or not by us
        return None
