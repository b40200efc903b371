"""Rebuilds traces from spans as they came over OTLP, and checks what every trace of a job has to keep."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from schemas.call import Call
from schemas.job_result import JobResult
from schemas.trace_ids import job_span_id

#: Of a job's time, what its spans have to explain.
EXPLAINED = 0.95
CONSUMER = Span.SPAN_KIND_CONSUMER
PRODUCER = Span.SPAN_KIND_PRODUCER


@dataclass
class Node:
    """A span with its children, in the order in which they began."""

    span: Span
    children: list["Node"] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.span.span_id.hex()

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def start_us(self) -> int:
        return self.span.start_time_unix_nano // 1000

    @property
    def end_us(self) -> int:
        return self.span.end_time_unix_nano // 1000

    @property
    def failed(self) -> bool:
        return self.span.status.code == Status.STATUS_CODE_ERROR

    @property
    def attributes(self) -> dict[str, Any]:
        return {one.key: _value(one.value) for one in self.span.attributes}

    def walk(self) -> Iterable["Node"]:
        """This one and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def named(self, prefix: str) -> list["Node"]:
        """Those below, or this one, whose name begins so."""
        return [node for node in self.walk() if node.name.startswith(prefix)]


def unique_spans(received: Iterable[Span]) -> list[Span]:
    """The spans without those that came again; one that came again changed is an error."""
    by_id: dict[tuple[bytes, bytes], Span] = {}
    for span in received:
        first = by_id.setdefault((span.trace_id, span.span_id), span)
        same = first.SerializeToString(deterministic=True) == span.SerializeToString(deterministic=True)
        assert same, f"a span came twice, and changed:\n{first}\n{span}"
    return list(by_id.values())


def tree_of(received: Iterable[Span], job_id: str) -> Node:
    """The trace of a job: its root with everything below. No span of its trace is without its parent."""
    spans = unique_spans(received)
    root_id = bytes.fromhex(job_span_id(job_id))
    roots = [span for span in spans if span.span_id == root_id]
    assert len(roots) == 1, f"{job_id} has {len(roots)} roots"
    nodes = {span.span_id: Node(span) for span in spans if span.trace_id == roots[0].trace_id}
    for span_id, node in sorted(nodes.items(), key=lambda item: item[1].start_us):
        if span_id != root_id:
            parent = nodes.get(node.span.parent_span_id)
            assert parent is not None, f"the parent of {node.name} of {job_id} is missing"
            parent.children.append(node)
    reached = {node.id for node in nodes[root_id].walk()}
    assert len(reached) == len(nodes), "some spans are in no tree"
    return nodes[root_id]


def check_trace(root: Node, result: JobResult, calls: Sequence[Call]) -> None:
    """What holds for every job that has ended, whatever happened to it."""
    assert result.ended_us is not None
    took_us = result.ended_us - result.accepted_us
    assert abs((root.end_us - root.start_us) - took_us) <= 50_000
    assert root.failed == (result.state != "completed")
    assert root.attributes["trunkline.job.id"] == result.job_id
    unexplained = took_us - _covered_us(root.children)
    assert unexplained <= took_us * (1 - EXPLAINED) + 100, f"{unexplained} of {took_us} µs are not explained"
    tools = {
        node.attributes["trunkline.call.id"]: node for node in root.children if node.name.startswith("execute_tool")
    }
    assert tools.keys() == {f"{result.job_id}/{call.turn}/{call.index}" for call in calls}
    for call in calls:
        node = tools[f"{result.job_id}/{call.turn}/{call.index}"]
        attempts = [child for child in node.children if "trunkline.attempt" in child.attributes]
        assert len(attempts) == call.attempts, f"call {call.turn}/{call.index}"
        assert call.outcome is not None
        assert node.failed == (call.outcome.kind != "succeeded")
        assert node.attributes["trunkline.call.outcome"] == call.outcome.kind
    for node in root.walk():
        assert node.start_us <= node.end_us, node.name
        for child in node.children:
            assert node.start_us <= child.start_us, f"{child.name} began before {node.name}"
            assert child.end_us <= node.end_us, f"{child.name} ended after {node.name}"
    if any(call.attempts for call in calls):
        on_path = critical_path(root)
        assert any(node.name.startswith("process ") and node.name != "process orchestrator" for node in on_path), [
            node.name for node in on_path
        ]


def critical_path(root: Node) -> list[Node]:
    """The spans that Jaeger's critical path goes through.

    It steps from a span to the child that ended last, and from where that began to the sibling that ended before;
    it leaves out CONSUMER children of PRODUCER spans, and children that began after their parent had ended.
    """
    path: list[Node] = []
    _step_through(root, path)
    return path


def _step_through(node: Node, path: list[Node]) -> None:
    path.append(node)
    blocking = [
        child
        for child in node.children
        if not (node.span.kind == PRODUCER and child.span.kind == CONSUMER) and child.start_us < node.end_us
    ]
    until = float("inf")
    while True:
        ended_before = [child for child in blocking if min(child.end_us, node.end_us) < until]
        if not ended_before:
            return
        last = max(ended_before, key=lambda child: min(child.end_us, node.end_us))
        _step_through(last, path)
        until = last.start_us


def _covered_us(children: Sequence[Node]) -> int:
    covered, end = 0, 0
    for child in sorted(children, key=lambda child: child.start_us):
        start = max(child.start_us, end)
        # Its last microsecond is its own.
        covered += max(0, child.end_us + 1 - start)
        end = max(end, child.end_us + 1)
    return covered


def texts_in(node: Node) -> list[str]:
    """Every text that a trace carries."""
    return [text for one in node.walk() for text in (one.name, *map(str, one.attributes.values()))]


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind or "string_value")


def shape(node: Node) -> Mapping[str, Any]:
    """Names only, for messages of failures."""
    return {node.name: [shape(child) for child in node.children]}
