"""A command to Redis as a value: what to send, and how to read the answer.

Whoever decides what to do builds commands; `command_runner` carries them. So the same ledger serves threads and event
loops, and what a command sends can be tested without a server.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from messaging.script import Script

T = TypeVar("T")
Word = str | bytes | int | float


@dataclass(frozen=True, slots=True)
class Command(Generic[T]):
    """One round trip to Redis.

    A script gets the namespace as its only key, and `words` as its arguments. Without a script, `words` is the command.
    """

    script: Script | None
    words: Sequence[Word]
    decode: Callable[[Any], T]
    """Makes a value of Redis's answer, which holds bytes, integers, lists and None."""


def whole(answer: Any) -> Any:
    """For answers that need no reading."""
    return answer


def text(answer: bytes | str) -> str:
    """UTF-8 text of an answer."""
    return answer.decode() if isinstance(answer, bytes) else answer


def pairs(answer: Any) -> dict[str, str]:
    """Fields and values of an answer, whether it came as a list or as a mapping."""
    if isinstance(answer, Mapping):
        return {text(name): text(value) for name, value in answer.items()}
    return {text(answer[i]): text(answer[i + 1]) for i in range(0, len(answer), 2)}
