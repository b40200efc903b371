"""Spans in the OpenTelemetry protocol, as bytes.

Protobuf's own objects cost some thirty µs of CPU a span, most for attributes that have been there before; so spans
are put together from encoded parts, and what comes again is encoded once. The numbers of fields are those of
opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto; tests read the result with protobuf's own classes.
"""

import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from telemetry import conventions as names
from telemetry.traces.span import Attribute, Span

_MOST_KNOWN_VALUES: Final = 512
_LONGEST_KNOWN: Final = 300
_KEPT_NAMES: Final = 1024

# Parts of spans that are the same in all of them: tags, and lengths where they are fixed.
_TRACE_ID: Final = b"\x0a\x10"
_SPAN_ID: Final = b"\x12\x08"
_PARENT_ID: Final = b"\x22\x08"
_KINDS: Final = {"internal": b"\x30\x01", "client": b"\x30\x03", "consumer": b"\x30\x05"}
_TIMES: Final = struct.Struct("<BQBQ")
_START_TAG, _END_TAG = 7 << 3 | 1, 8 << 3 | 1
_SAMPLED: Final = 0x1
_REMOTE_IS_KNOWN: Final = 0x100
_REMOTE: Final = 0x200
#: Field 15, status: a message whose field 3, code, is 2.
_ERROR: Final = b"\x7a\x02\x18\x02"
#: Field 16, by whether the parent is remote.
_FLAGS: Final = {
    is_remote: struct.pack("<HI", 0x185, _SAMPLED | _REMOTE_IS_KNOWN | (_REMOTE if is_remote else 0))
    for is_remote in (False, True)
}
_DOUBLE: Final = struct.Struct("<Bd")
_DOUBLE_TAG: Final = 4 << 3 | 1
#: By number of the field and length of its content: tag and length in two bytes.
_HEADS: Final = [[bytes((number << 3 | 2, length)) for length in range(0x80)] for number in range(16)]


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """A request that exports spans."""

    body: bytes

    def SerializeToString(self) -> bytes:  # as protobuf's own requests
        """Its bytes."""
        return self.body


def resource(attributes: Mapping[str, Attribute]) -> Resource:
    """Who says it all."""
    return Resource(attributes=[KeyValue(key=name, value=_value(value)) for name, value in attributes.items()])


def export_request(spans: Sequence[bytes], *, of: Resource, version: str) -> ExportRequest:
    """A request that exports encoded spans of a resource, by this version of Trunkline."""
    scope = InstrumentationScope(name=names.SCOPE_NAME, version=version)
    parts = [_field(1, scope.SerializeToString())]
    parts += [_field(2, span) for span in spans]
    parts.append(_field(3, names.SCHEMA_URL.encode()))
    return ExportRequest(_field(1, _field(1, of.SerializeToString()) + _field(2, b"".join(parts))))


def encode_span(span: Span, *, longest_value: int | None = None) -> bytes:
    """One span; text of its attributes that is longer than `longest_value` is cut there."""
    parts = [_TRACE_ID, bytes.fromhex(span.trace_id), _SPAN_ID, bytes.fromhex(span.span_id)]
    if span.parent_id is not None:
        parts += (_PARENT_ID, bytes.fromhex(span.parent_id))
    parts += (
        _name(5, span.name),
        _KINDS[span.kind],
        _TIMES.pack(_START_TAG, span.start_us * 1000, _END_TAG, span.end_us * 1000),
    )
    for name, value in span.attributes.items():
        short = value if longest_value is None else _cut(value, longest_value)
        parts.append(_KNOWN_ATTRIBUTES[name].get(short) or _new_attribute(name, short))
    for trace_id, span_id in span.links:
        link = _field(1, bytes.fromhex(trace_id)) + _field(2, bytes.fromhex(span_id))
        parts.append(_field(13, link + struct.pack("<BI", 6 << 3 | 5, _SAMPLED)))
    if span.error:
        parts.append(_ERROR)
    parts.append(_FLAGS[span.parent_is_remote])
    return b"".join(parts)


def _field(number: int, content: bytes) -> bytes:
    """A field of at most 15 with bytes, text or a message."""
    length = len(content)
    if length < 0x80:
        return _HEADS[number][length] + content
    if length < 0x4000:
        return bytes((number << 3 | 2, length & 0x7F | 0x80, length >> 7)) + content
    head = [number << 3 | 2]
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes((*head, length)) + content


#: By name and value. The values of a name are all of one type.
_KNOWN_ATTRIBUTES: Final[defaultdict[str, dict[Attribute, bytes]]] = defaultdict(dict)


def _new_attribute(name: str, value: Attribute) -> bytes:
    known = _KNOWN_ATTRIBUTES[name]
    if len(known) == _MOST_KNOWN_VALUES:  # most of them never come again
        known.clear()
    if isinstance(value, str):
        encoded = _field(1, value.encode())
    elif isinstance(value, float):
        encoded = _DOUBLE.pack(_DOUBLE_TAG, value)
    else:
        encoded = _value(value).SerializeToString()
    attribute = _field(9, _name(1, name) + _field(2, encoded))
    if len(attribute) <= _LONGEST_KNOWN:  # not what was said
        known[value] = attribute
    return attribute


@lru_cache(maxsize=_KEPT_NAMES)
def _name(number: int, name: str) -> bytes:
    return _field(number, name.encode())


def _value(value: Attribute) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(array_value=ArrayValue(values=[_value(one) for one in value]))


def _cut(value: Attribute, longest: int) -> Attribute:
    if isinstance(value, str):
        return value[:longest]
    return value if isinstance(value, bool | int | float) else tuple(one[:longest] for one in value)
