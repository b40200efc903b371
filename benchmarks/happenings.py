"""What happens to messages in the processes of a contender, written down by them in one file.

Each happening is a record of fixed size that is appended in one write, so that several processes can share a file; a
write costs two microseconds and no round trip to Redis. Times are of the machine's wall clock, which is Redis's too.
"""

import os
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

_RECORD: Final = struct.Struct("<Biqqq")
_LOOK_AGAIN_S: Final = 0.0005


class What(IntEnum):
    """The kinds of happenings."""

    UP = 1
    """A process is about to consume."""
    ATTEMPT = 2
    """A message asks a limiter inside its actor whether it may start."""
    REFUSED = 3
    """It may not, and has to come again."""
    START = 4
    """A message's work starts."""
    END = 5
    """A message's work has ended."""
    FETCH = 6
    """A process has asked Redis for messages; the number is the queue's."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One of them."""

    what: What
    pid: int
    number: int
    """The message's."""
    at_us: int
    fetched_us: int
    """When Redis handed the message over, where the broker says so; else 0."""


class HappeningsWriter:
    """The side of the processes.

    Args:
        file: Shared by all processes of a contender.
    """

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, what: What, number: int = 0, fetched_us: int = 0) -> None:
        """Writes that it happens now."""
        at_us = time.time_ns() // 1000
        os.write(self._descriptor, _RECORD.pack(what, os.getpid(), number, at_us, fetched_us))


class Happenings:
    """The side of the benchmark: reads what is new.

    Args:
        file: Shared by all processes of a contender.
    """

    def __init__(self, file: Path) -> None:
        file.touch()
        self._stream = file.open("rb", buffering=0)
        self._rest = b""

    def new(self) -> list[Happening]:
        """What has happened since the last time."""
        read = self._rest + self._stream.read()
        whole = len(read) // _RECORD.size * _RECORD.size
        self._rest = read[whole:]
        return [Happening(What(what), *others) for what, *others in _RECORD.iter_unpack(read[:whole])]

    def wait(self, what: What, count: int, *, timeout_s: float) -> Sequence[Happening]:
        """The next `count` or more happenings of a kind; others are passed over.

        Raises:
            TimeoutError: There were fewer.
        """
        found: list[Happening] = []
        give_up_at = time.monotonic() + timeout_s
        while len(found) < count:
            found += [one for one in self.new() if one.what == what]
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{len(found)} of {count} times {what.name} within {timeout_s:.0f} s")
            time.sleep(_LOOK_AGAIN_S)
        return found

    def close(self) -> None:
        """Ends reading."""
        self._stream.close()
