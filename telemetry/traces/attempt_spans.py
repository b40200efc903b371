"""The spans of a step's attempts: the waits in its queue, before another attempt, and the work. Pure."""

from collections.abc import Sequence

from schemas.trace_ids import attempt_span_id, part_span_id
from telemetry import conventions as names
from telemetry.job_facts import Attempt, Step
from telemetry.traces.span import Attribute
from telemetry.traces.span_writer import SpanWriter

#: What an endpoint answers to somebody who asks too often.
_TOO_MANY_REQUESTS = "429"


def add_attempts(
    writer: SpanWriter, step: Step, id: str, *, queue: str, parent_id: str, until_us: int
) -> Sequence[tuple[Attempt, str]]:
    """Adds the spans of all attempts of a step, and of the wait that no attempt ended; `until_us` ends what is open.

    Args:
        writer: Takes the spans.
        step: The turn or call.
        id: Its id, `job/turn` or `job/turn/index`.
        queue: Where its message waits.
        parent_id: The span that they hang under.
        until_us: When the step ended, or now.

    Returns:
        The attempts, each with the id of the span of its work.
    """
    added: list[tuple[Attempt, str]] = []
    previous: Attempt | None = None
    for attempt in step.attempts:
        place = f"#{attempt.number}" if attempt.number is not None else f"#lost@{attempt.fetched_us}"
        _add_wait(
            writer,
            previous,
            part_of=(id, place),
            queue=queue,
            parent_id=parent_id,
            since_us=attempt.queued_us,
            until_us=attempt.fetched_us,
            throttled_us=attempt.throttled_us,
        )
        span_id = part_span_id(id, f"process{place}") if attempt.number is None else attempt_span_id(id, attempt.number)
        writer.add(
            span_id,
            f"{names.PROCESS} {queue}",
            "consumer",
            parent_id=parent_id,
            start_us=attempt.fetched_us,
            until_us=attempt.ended_us if attempt.ended_us is not None else until_us,
            attributes=_work_attributes(attempt, queue, writer.facts.job_id),
            error_type=_error_type(attempt),
        )
        added.append((attempt, span_id))
        previous = attempt
    if (since_us := step.waits_since_us) is not None:
        _add_wait(
            writer,
            previous,
            part_of=(id, "#none"),
            queue=queue,
            parent_id=parent_id,
            since_us=since_us,
            until_us=until_us,
        )
    return added


def _add_wait(
    writer: SpanWriter,
    previous: Attempt | None,
    *,
    part_of: tuple[str, str],
    queue: str,
    parent_id: str,
    since_us: int,
    until_us: int,
    throttled_us: int = 0,
) -> None:
    """Adds the spans of the time before an attempt: the pause that the one before it asked for, and the wait.

    They end at `until_us`, which may be before the pause is over.
    """
    step, place = part_of
    if previous is not None and previous.retry_us is not None and previous.ended_us is not None:
        reason = names.RATELIMIT_WAIT if previous.error_type == _TOO_MANY_REQUESTS else names.RETRY_WAIT
        writer.add(
            part_span_id(step, f"pause{place}"),
            f"{reason} {queue}",
            "internal",
            parent_id=parent_id,
            start_us=previous.ended_us,
            until_us=min(since_us, until_us),
            attributes={},
        )
    if since_us <= until_us:
        writer.add(
            part_span_id(step, f"wait{place}"),
            f"{names.QUEUE_WAIT} {queue}",
            "internal",
            parent_id=parent_id,
            start_us=since_us,
            until_us=until_us,
            attributes={names.DESTINATION: queue, names.THROTTLED: throttled_us / 1e6},
        )


def _work_attributes(attempt: Attempt, queue: str, job_id: str) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {
        names.MESSAGING_SYSTEM: names.REDIS,
        names.MESSAGING_OPERATION_NAME: names.PROCESS,
        names.MESSAGING_OPERATION_TYPE: names.PROCESS,
        names.DESTINATION: queue,
        names.MESSAGE_ID: attempt.message,
        names.MESSAGE_CONVERSATION_ID: job_id,
        names.CLIENT_ID: attempt.worker,
        names.ATTEMPT_END: attempt.end,
    }
    if attempt.number is not None:
        attributes[names.ATTEMPT] = attempt.number
    if attempt.elapsed_us is not None:
        attributes[names.RUN_DURATION] = attempt.elapsed_us / 1e6
    return attributes


def _error_type(attempt: Attempt) -> str | None:
    if attempt.end == "lost":
        return "lost"
    return (attempt.error_type or attempt.end) if attempt.end in ("retried", "failed") else None
