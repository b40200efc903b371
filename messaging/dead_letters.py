"""Dead letters: messages that were not processed, and why. Listed, put back, or discarded."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

from messaging.command import Command, text
from messaging.redaction import REDACTED, redact, redact_value
from messaging.script import load_script

#: Fields of chat jobs with content; it stays in the message itself, which may be put back.
_CONTENT: Final = frozenset({"content", "arguments", "metadata"})


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that nobody processed."""

    queue: str
    id: str
    died_at: datetime
    reason: str
    """`crashed`, `failed`, `undecodable`, `unreadable`, `unknown actor`, or why a job was refused; empty if unknown."""
    error: str
    actor: str | None
    """None if the body cannot be read."""
    message: Mapping[str, Any] | str
    """The message, or the text that is none. What looks like a secret is hidden, and what was said in a chat."""


def read_dead_letters(queue: str, *, since: datetime | None = None, limit: int = 100) -> Command[Sequence[DeadLetter]]:
    """The dead letters of a queue, newest first."""

    def decode(answer: list[Any]) -> Sequence[DeadLetter]:
        return [_letter(queue, *answer[i : i + 4]) for i in range(0, len(answer), 4)]

    words = (queue, "-inf" if since is None else round(since.timestamp() * 1000), limit)
    return Command(load_script("messaging", "dead_letters"), words, decode)


def end_dead_letter(queue: str, id: str, how: Literal["retry", "discard"]) -> Command[bool]:
    """Puts a dead letter back into its queue, with no crashes counted, or discards it; False if it is gone already."""
    return Command(load_script("messaging", "end_dead_letter"), (queue, id, how), bool)


def _letter(queue: str, id: bytes, died_at_ms: bytes, body: bytes, cause: bytes) -> DeadLetter:
    message: Mapping[str, Any] | str
    try:
        message = json.loads(body)
        actor = message["actor_name"] if isinstance(message, dict) else None
    except (ValueError, KeyError):
        message, actor = body.decode(errors="replace"), None
    why = json.loads(cause) if cause else {}
    return DeadLetter(
        queue=queue,
        id=text(id),
        died_at=datetime.fromtimestamp(float(died_at_ms) / 1000, tz=UTC),
        reason=why.get("reason", ""),
        error=redact(str(why.get("error", ""))),
        actor=actor,
        message=cast("Mapping[str, Any] | str", redact_value(_without_content(message))),
    )


def _without_content(value: Any) -> Any:
    """The same without what people and models say, which is in messages that hand a job in."""
    if isinstance(value, Mapping):
        return {name: REDACTED if name in _CONTENT and item else _without_content(item) for name, item in value.items()}
    return [_without_content(item) for item in value] if isinstance(value, list) else value
