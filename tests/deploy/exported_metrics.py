"""What the code exports to Prometheus, and what a query asks for."""

from collections.abc import Iterator
from typing import Any, Final

import promql_parser

from telemetry.metrics.instruments import INSTRUMENTS, exported_names, prometheus_label

#: What Prometheus itself knows of every target.
_OF_PROMETHEUS: Final = {"up"}
EXPORTED: Final = {name for instrument in INSTRUMENTS for name in exported_names(instrument)} | _OF_PROMETHEUS
LABELS: Final = {
    name: {*map(prometheus_label, instrument.labels), "le", "instance", "job"}
    for instrument in INSTRUMENTS
    for name in exported_names(instrument)
}


def selectors(query: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics that a query asks for, each with the labels by which it selects.

    Raises:
        ValueError: It is no PromQL.
    """
    yield from _selectors_in(promql_parser.parse(query))


def _selectors_in(node: Any) -> Iterator[tuple[str, set[str]]]:
    match node:
        case promql_parser.VectorSelector():
            yield node.name or "", {matcher.name for matcher in node.matchers.matchers}
        case promql_parser.MatrixSelector():
            yield from _selectors_in(node.vector_selector)
        case (
            promql_parser.AggregateExpr()
            | promql_parser.ParenExpr()
            | promql_parser.SubqueryExpr()
            | promql_parser.UnaryExpr()
        ):
            yield from _selectors_in(node.expr)
        case promql_parser.BinaryExpr():
            yield from _selectors_in(node.lhs)
            yield from _selectors_in(node.rhs)
        case promql_parser.Call():
            for argument in node.args:
                yield from _selectors_in(argument)
        case _:
            assert isinstance(node, promql_parser.NumberLiteral | promql_parser.StringLiteral), node


def unexported(query: str) -> list[str]:
    """What a query asks for that the code does not export: metrics, or labels of them."""
    wrong = []
    for name, labels in selectors(query):
        if name not in EXPORTED:
            wrong.append(name)
        wrong += [f"{name}{{{label}}}" for label in labels - LABELS.get(name, {"instance", "job"})]
    return wrong
