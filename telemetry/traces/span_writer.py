"""Making the spans of one job: their trace, their ids, and the rule for where one ends and the next begins.

What is handed over at an instant ends a microsecond before it, and what takes over begins at it. Otherwise Jaeger's
critical path, which looks for the child that ended *before* the next one began, would step over every second span.
"""

from collections.abc import Mapping

from schemas.trace_ids import job_span_id
from telemetry import conventions as names
from telemetry.job_facts import JobFacts
from telemetry.traces.content import Content
from telemetry.traces.span import Attribute, Span, SpanKind


class SpanWriter:
    """Collects the spans of a job."""

    def __init__(self, facts: JobFacts, content: Content | None = None) -> None:
        self.facts = facts
        self.content = content
        """What was said, if spans shall carry it."""
        self.trace_id = facts.record.trace_id
        self.root_id = job_span_id(facts.job_id)
        self.spans: list[Span] = []

    def add(
        self,
        span_id: str,
        name: str,
        kind: SpanKind,
        *,
        parent_id: str,
        start_us: int,
        until_us: int,
        attributes: Mapping[str, Attribute],
        error_type: str | None = None,
    ) -> None:
        """Adds a span of what went on from `start_us` until something else took over at `until_us`."""
        if error_type is not None:
            attributes = {**attributes, names.ERROR_TYPE: error_type}
        self.spans.append(
            Span(
                trace_id=self.trace_id,
                span_id=span_id,
                parent_id=parent_id,
                name=name,
                kind=kind,
                start_us=start_us,
                end_us=max(start_us, until_us - 1),
                attributes=attributes,
                error=error_type is not None,
            )
        )
