"""Dead letters: messages that were not processed, and why. Listed, put back, or discarded."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from messaging.command import Command, text
from messaging.redaction import REDACTED, redact, redact_value
from messaging.script import load_script

#: The parts of a message that have fields or elements, and the fields that tell which one it is, for whom and how it is
#: to be done. All others may say what people and models said, which stays in the message itself: it may be put back.
_PARTS: Final = frozenset({"caller", "job", "kwargs", "limits", "messages", "options", "reply_to", "tools"})
_TOLD: Final = frozenset(
    {
        *("actor", "actor_name", "agent", "calls", "calls_per_turn", "conversation_id", "enqueued_us", "eta"),
        *("idempotency_key", "if_busy", "if_no_worker", "index", "job_id", "max_retries", "message_id"),
        *("message_timestamp", "model", "priority", "queue", "queue_name", "redis_message_id", "retries", "role"),
        *("schema_version", "tenant", "timeout_ms", "tools", "traceparent", "turn", "turns"),
    }
)


_DEEPEST: Final = 8


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
    message: object
    """Its fields, with what was said in it hidden, and whatever looks like a secret; empty if the body has none."""
    content: object = field(repr=False)
    """The same with what was said in it, or the text that is no message."""


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
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    fields = message if isinstance(message, dict) else {}
    actor = fields.get("actor_name")
    why = json.loads(cause) if cause else {}
    return DeadLetter(
        queue=queue,
        id=text(id),
        died_at=datetime.fromtimestamp(float(died_at_ms) / 1000, tz=UTC),
        reason=why.get("reason", ""),
        error=redact(str(why.get("error", ""))),
        actor=actor if isinstance(actor, str) else None,
        message=redact_value({name: _told(part, name=name) for name, part in fields.items()}),
        content=redact_value(message if fields else body.decode(errors="replace")),
    )


def _told(value: Any, *, name: str, depth: int = 0) -> Any:
    if name in _PARTS and depth < _DEEPEST:
        if isinstance(value, Mapping):
            return {key: _told(item, name=key, depth=depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [_told(item, name=name, depth=depth + 1) for item in value]
    is_told = not value or (name in _TOLD and isinstance(value, str | int | float))
    return value if is_told else REDACTED
