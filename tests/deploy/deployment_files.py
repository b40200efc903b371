"""The files of `deploy/`, read as their tools read them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import promql_parser
import yaml

from telemetry.instruments import INSTRUMENTS, exported_names

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
#: What Prometheus itself knows of every target.
_OF_PROMETHEUS: Final = {"up"}
EXPORTED: Final = {name for instrument in INSTRUMENTS for name in exported_names(instrument)} | _OF_PROMETHEUS
LABELS: Final = {
    name: {label.replace(".", "_") for label in instrument.labels} | {"le", "instance", "job"}
    for instrument in INSTRUMENTS
    for name in exported_names(instrument)
}


def read_yaml(path: Path) -> Any:
    """One document."""
    return yaml.safe_load(path.read_text())


def selectors(query: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics that a query asks for, each with the labels by which it selects.

    Raises:
        ValueError: It is no PromQL.
    """
    yield from _selectors_in(promql_parser.parse(query))


def _selectors_in(node: Any) -> Iterator[tuple[str, set[str]]]:
    match node:
        case promql_parser.VectorSelector():
            yield node.name, {matcher.name for matcher in node.matchers.matchers}
        case promql_parser.MatrixSelector():
            yield from _selectors_in(node.vector_selector)
        case promql_parser.AggregateExpr() | promql_parser.ParenExpr() | promql_parser.SubqueryExpr():
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
