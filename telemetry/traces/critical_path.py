"""What a job's time was owed to: the chain of spans in which each had to end before the next could begin. Pure.

It begins at the end: from a span it steps to the child that ended last, and from where that began to the sibling that
ended before. What is between belongs to the span itself. This is the rule of Jaeger's user interface.
"""

from collections.abc import Mapping, Sequence

from telemetry.traces.span import Span


def critical_path(spans: Sequence[Span], root_id: str) -> Mapping[str, int]:
    """How much time each span on the path owes to itself, µs, by its id; in order of time."""
    by_id = {span.span_id: span for span in spans}
    children: dict[str, list[Span]] = {}
    for span in spans:
        if span.parent_id is not None:
            children.setdefault(span.parent_id, []).append(span)
    owed: dict[str, int] = {}
    _step_through(by_id[root_id], children, owed)
    return dict(sorted(owed.items(), key=lambda item: by_id[item[0]].start_us))


def _step_through(span: Span, children: Mapping[str, Sequence[Span]], owed: dict[str, int]) -> None:
    until_us = span.end_us
    left = [child for child in children.get(span.span_id, ()) if child.start_us < span.end_us]
    own_us = 0
    while left:
        last = max(left, key=lambda child: child.end_us)
        own_us += max(0, until_us - last.end_us)
        _step_through(last, children, owed)
        until_us = last.start_us
        left = [child for child in left if child.end_us < until_us]
    owed[span.span_id] = own_us + max(0, until_us - span.start_us)
