"""Reading what the ledger knows: results, lists, events, calls, conversations."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from messaging.command import Command, pairs, text, whole
from messaging.script import load_script
from schemas.call import Call, Outcome
from schemas.events import JobEvent, job_events
from schemas.job_result import JobResult, JobState

#: Reads a job's events from the first one on.
FROM_THE_BEGINNING = "0"


def read_job(job_id: str) -> Command[JobResult | None]:
    """How a job stands; None if there is no such job (any more)."""
    return Command(load_script("ledger", "read_job"), (job_id,), lambda answer: _result(answer) if answer else None)


def list_jobs(
    *,
    since: datetime | None = None,
    before_ms: int | None = None,
    limit: int = 50,
    state: JobState | None = None,
    tenant: str | None = None,
) -> Command[Sequence[JobResult]]:
    """Jobs, newest first.

    Args:
        since: Accepted at that time or later.
        before_ms: Accepted before; for the next page, the acceptance of the last one seen.
        limit: At most so many.
        state: Only those in this state.
        tenant: Only those of this tenant.
    """
    words = (
        "-inf" if since is None else round(since.timestamp() * 1000),
        "" if before_ms is None else before_ms,
        limit,
        state or "",
        json.dumps(tenant) if tenant is not None else "",
    )
    return Command(load_script("ledger", "list_jobs"), words, lambda answer: [_result(one) for one in answer])


def read_events(
    namespace: str, job_id: str, *, after: str = FROM_THE_BEGINNING, block: timedelta | None = None, limit: int = 1000
) -> Command[Sequence[JobEvent]]:
    """A job's events after the one with id `after`; waits for the next one for at most `block`."""
    words: list[str | int] = ["XREAD", "COUNT", limit]
    if block is not None:
        words += ["BLOCK", max(1, round(block / timedelta(milliseconds=1)))]
    words += ["STREAMS", f"{namespace}:job:{job_id}:events", after]

    def decode(answer: Any) -> Sequence[JobEvent]:
        if not answer:
            return []
        streams = answer.values() if isinstance(answer, Mapping) else [entries for _, entries in answer]
        return decode_events([entry for entries in streams for entry in _entries(entries)])

    return Command(None, words, decode)


def read_calls(namespace: str, job_id: str) -> Command[Sequence[Call]]:
    """All calls of a job, in order."""

    def decode(answer: Any) -> Sequence[Call]:
        fields = pairs(answer)
        by_call: dict[tuple[int, int], dict[str, str]] = {}
        for name, value in fields.items():
            place, _, field = name.partition(":")
            turn, _, index = place.partition("/")
            by_call.setdefault((int(turn), int(index)), {})[field] = value
        return [_call(turn, index, by_call[turn, index]) for turn, index in sorted(by_call)]

    return Command(None, ("HGETALL", f"{namespace}:job:{job_id}:calls"), decode)


def read_stored_result(namespace: str, job_id: str, turn: int, index: int) -> Command[str | None]:
    """A call's whole result, where the model was given a preview only."""
    words = ("GET", f"{namespace}:job:{job_id}:result:{turn}/{index}")
    return Command(None, words, lambda answer: text(answer) if answer is not None else None)


def read_conversation(namespace: str, conversation_id: str) -> Command[Sequence[Mapping[str, Any]]]:
    """The messages of a conversation, in OpenAI's format."""
    words = ("LRANGE", f"{namespace}:conversation:{conversation_id}:messages", 0, -1)
    return Command(None, words, lambda answer: [json.loads(message) for message in answer])


def read_counters(namespace: str) -> Command[Mapping[str, int]]:
    """What was refused or repaired: late steps and outcomes, duplicate deliveries, dropped replies, repaired jobs."""
    words = ("HGETALL", f"{namespace}:counters")
    return Command(None, words, lambda answer: {name: int(value) for name, value in pairs(answer).items()})


def count_active_jobs(namespace: str) -> Command[int]:
    """How many jobs have not ended."""
    return Command(None, ("ZCARD", f"{namespace}:jobs:active"), whole)


def _result(answer: bytes) -> JobResult:
    return JobResult.model_validate_json(answer)


def _entries(entries: Any) -> list[tuple[Any, Any]]:
    # Newer protocol versions nest the entries of a stream once more.
    if len(entries) == 1 and isinstance(entries[0], list) and entries[0] and isinstance(entries[0][0], tuple | list):
        return list(entries[0])
    return list(entries)


def decode_events(entries: Iterable[tuple[bytes, Any]]) -> Sequence[JobEvent]:
    """The events of entries of a job's stream, read as one document, which costs a third of reading each."""
    return job_events.validate_json(b"[" + b",".join(_event_json(id, fields) for id, fields in entries) + b"]")


def _event_json(id: bytes, fields: Any) -> bytes:
    values = fields if isinstance(fields, Mapping) else dict(zip(fields[::2], fields[1::2], strict=True))
    data = values[b"data"]
    more = b"}" if data == b"{}" else b"," + data[1:]
    return b'{"id":"%b","type":"%b","at_us":%b%b' % (id, values[b"type"], values[b"at"], more)


def _call(turn: int, index: int, fields: Mapping[str, str]) -> Call:
    kind = fields.get("outcome")
    outcome = Outcome.model_validate({"kind": kind, "content": json.loads(fields["content"])}) if kind else None
    return Call(
        turn=turn,
        index=index,
        tool=fields["tool"],
        tool_call_id=json.loads(fields["tool_call_id"]),
        arguments=fields["arguments"],
        pool=fields["pool"] or None,
        attempts=int(fields.get("attempt", 0)),
        outcome=outcome,
        stored_bytes=int(fields.get("stored", 0)),
    )
