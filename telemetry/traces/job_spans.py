"""From facts to spans: what one entry of the feed is the occasion to export. Pure.

The shape is described in docs/tracing.md.
"""

from collections.abc import Sequence

from ledger.feed import FeedEntry
from schemas.trace_ids import part_span_id
from telemetry import conventions as names
from telemetry.job_facts import JobFacts, reported_turns
from telemetry.traces.content import Content
from telemetry.traces.span import Attribute, Span
from telemetry.traces.span_writer import SpanWriter
from telemetry.traces.turn_spans import ORCHESTRATOR, add_turn


def spans_for(facts: JobFacts, entry: FeedEntry, content: Content | None = None) -> Sequence[Span]:
    """The spans that `entry` is the occasion for: those of its turns; at the job's end also those of the job as such.

    They carry what was said only if they are given it.
    """
    writer = SpanWriter(facts, content)
    if entry.what == "job" and facts.ended_us is not None:
        _add_job(writer, facts.ended_us)
    for turn in reported_turns(facts, entry):
        add_turn(writer, turn, now_us=facts.ended_us or turn.gathered_us or 0)
    return writer.spans


def spans_so_far(facts: JobFacts, *, now_us: int) -> Sequence[Span]:
    """All spans of a job, as they would be if it ended now."""
    writer = SpanWriter(facts)
    _add_job(writer, facts.ended_us or now_us)
    for turn in facts.turns:
        add_turn(writer, turn, now_us=facts.ended_us or now_us)
    return writer.spans


def _add_job(writer: SpanWriter, ended_us: int) -> None:
    record, facts = writer.facts.record, writer.facts
    name = f"{names.INVOKE_AGENT} {record.terms.agent}" if record.terms.agent else names.INVOKE_AGENT
    parent = record.terms.traceparent.split("-")[2] if record.terms.traceparent else None
    writer.spans.append(
        Span(
            trace_id=writer.trace_id,
            span_id=writer.root_id,
            parent_id=parent,
            name=name,
            kind="internal",
            start_us=record.accepted_us,
            end_us=ended_us,
            attributes=_job_attributes(facts),
            error=record.error is not None,
            parent_is_remote=parent is not None,
            links=(record.previous,) if record.previous is not None else (),
        )
    )
    started_us = facts.started_us if facts.started_us is not None else ended_us
    if started_us > record.accepted_us:
        writer.add(
            part_span_id(facts.job_id, "conversation"),
            names.CONVERSATION_WAIT,
            "internal",
            parent_id=writer.root_id,
            start_us=record.accepted_us,
            until_us=started_us,
            attributes={names.CONVERSATION_ID: record.conversation_id},
        )
    writer.add(
        part_span_id(facts.job_id, "send"),
        f"{names.SEND} {ORCHESTRATOR}",
        "client",
        parent_id=writer.root_id,
        start_us=started_us,
        until_us=started_us,
        attributes={
            names.MESSAGING_SYSTEM: names.REDIS,
            names.MESSAGING_OPERATION_NAME: names.SEND,
            names.MESSAGING_OPERATION_TYPE: names.SEND,
            names.DESTINATION: ORCHESTRATOR,
        },
    )


def _job_attributes(facts: JobFacts) -> dict[str, Attribute]:
    record = facts.record
    attributes: dict[str, Attribute] = {
        names.OPERATION_NAME: names.INVOKE_AGENT,
        names.PROVIDER_NAME: names.PROVIDER_OPENAI,
        names.CONVERSATION_ID: record.conversation_id,
        names.JOB_ID: facts.job_id,
        names.JOB_STATE: record.state,
        names.TENANT: record.tenant,
        names.JOB_TURNS: len(facts.turns),
        names.JOB_CALLS: sum(len(turn.calls) for turn in facts.turns),
    }
    if record.terms.agent is not None:
        attributes[names.AGENT_NAME] = record.terms.agent
    if record.terms.model is not None:
        attributes[names.REQUEST_MODEL] = record.terms.model
    if record.error is not None:
        attributes[names.ERROR_TYPE] = record.error.code
    return attributes
