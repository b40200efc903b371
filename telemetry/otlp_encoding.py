"""Spans in the OpenTelemetry protocol. Built directly: the SDK's own span objects cost five times as much."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from telemetry import conventions as names
from telemetry.span import Attribute, Span

_KINDS: Final = {
    "internal": trace_pb2.Span.SPAN_KIND_INTERNAL,
    "client": trace_pb2.Span.SPAN_KIND_CLIENT,
    "consumer": trace_pb2.Span.SPAN_KIND_CONSUMER,
}
_KEPT_PAIRS: Final = 4096
_SAMPLED: Final = 0x1
_REMOTE_IS_KNOWN: Final = trace_pb2.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE: Final = trace_pb2.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
_ERROR: Final = trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR)


def resource(attributes: Mapping[str, Attribute]) -> Resource:
    """Who says it all."""
    return Resource(attributes=_attributes(attributes, None))


def encode_spans(
    spans: Sequence[Span], *, of: Resource, version: str, longest_value: int | None = None
) -> ExportTraceServiceRequest:
    """A request that exports spans.

    Args:
        spans: What is exported.
        of: The resource.
        version: Of Trunkline.
        longest_value: Longer text of an attribute is cut there.
    """
    scope = InstrumentationScope(name=names.SCOPE_NAME, version=version)
    scoped = trace_pb2.ScopeSpans(
        scope=scope, spans=[encode_span(span, longest_value) for span in spans], schema_url=names.SCHEMA_URL
    )
    return ExportTraceServiceRequest(resource_spans=[trace_pb2.ResourceSpans(resource=of, scope_spans=[scoped])])


def encode_span(span: Span, longest_value: int | None = None) -> trace_pb2.Span:
    """One span."""
    return trace_pb2.Span(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_id) if span.parent_id is not None else b"",
        flags=_SAMPLED | _REMOTE_IS_KNOWN | (_REMOTE if span.parent_is_remote else 0),
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=span.start_us * 1000,
        end_time_unix_nano=span.end_us * 1000,
        attributes=_attributes(span.attributes, longest_value),
        status=_ERROR if span.error else None,
        links=[
            trace_pb2.Span.Link(trace_id=bytes.fromhex(trace_id), span_id=bytes.fromhex(span_id), flags=_SAMPLED)
            for trace_id, span_id in span.links
        ],
    )


def _attributes(attributes: Mapping[str, Attribute], longest_value: int | None) -> list[KeyValue]:
    return [_pair(name, type(value), value, longest_value) for name, value in attributes.items()]


@lru_cache(maxsize=_KEPT_PAIRS)
def _pair(name: str, kind: type, value: Attribute, longest_value: int | None) -> KeyValue:
    """Most attributes of most spans have been there before. Equal values of different types are different pairs."""
    return KeyValue(key=name, value=_value(value, longest_value))


def _value(value: Attribute, longest: int | None) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value if longest is None else value[:longest])
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(array_value=ArrayValue(values=[_value(one, longest) for one in value]))
