"""How a child tells its supervisor that it can still run: its worker's id, into a pipe, at every try to beat.

So the supervisor knows whom to vouch for, and whose messages to give back, without asking Redis; and it needs no Redis
at all as long as nothing goes wrong. A child whose interpreter is held by a tool is silent. Only the standard library
is imported here, since a supervisor is to stay small.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

__all__ = ["LifeLine", "teller_of"]

_OPTION: Final = "--life-line="
_AT_ONCE: Final = 65_536


class LifeLine:
    """The supervisor's side: it makes the pipe and listens."""

    def __init__(self) -> None:
        self._read, self.for_child = os.pipe()
        self.is_open = True
        """Whether anybody could still say anything."""
        os.set_blocking(self._read, False)

    @property
    def option(self) -> str:
        """What tells the child where to write; it has to inherit `for_child`."""
        return f"{_OPTION}{self.for_child}"

    def fileno(self) -> int:
        """What `select` waits for."""
        return self._read

    def hear(self) -> str | None:
        """The worker's id if the child has said anything since the last time."""
        try:
            said = os.read(self._read, _AT_ONCE)
        except BlockingIOError:
            return None
        self.is_open = bool(said)
        lines = said.decode().splitlines()
        return lines[-1] if lines else None

    def keep_this_side(self) -> None:
        """The child has been started: its side is its own."""
        os.close(self.for_child)

    def close(self) -> None:
        """The child is gone."""
        os.close(self._read)


def teller_of(arguments: Sequence[str]) -> Callable[[str], None] | None:
    """The child's side: what to call with the worker's id; None for a process that no supervisor has started.

    Args:
        arguments: Of this process.
    """
    numbers = [int(argument.removeprefix(_OPTION)) for argument in arguments if argument.startswith(_OPTION)]
    if not numbers:
        return None
    [pipe] = numbers
    os.set_inheritable(pipe, False)
    os.set_blocking(pipe, False)

    def tell(worker: str) -> None:
        with suppress(OSError):  # the supervisor is gone, which ends us too, or has not listened for very long
            os.write(pipe, f"{worker}\n".encode())

    return tell
