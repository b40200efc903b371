"""A span as a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

SpanKind = Literal["internal", "client", "consumer"]
Attribute = str | int | float | bool | Sequence[str]


@dataclass(slots=True)  # made dozens of times a job: frozen, each takes three times as long
class Span:
    """What is exported. The same facts make the same span, to the byte."""

    trace_id: str
    """32 hexadecimal digits; ids of spans have 16."""
    span_id: str
    parent_id: str | None
    name: str
    kind: SpanKind
    start_us: int
    end_us: int
    attributes: Mapping[str, Attribute]
    error: bool = False
    parent_is_remote: bool = False
    links: Sequence[tuple[str, str]] = field(default=())
    """Trace and span ids of what it is related to otherwise."""
