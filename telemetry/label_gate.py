"""Keeps the number of series bounded: labels whose values come from outside have at most so many of them.

Tenants, models, agents and tools are named by upstream systems, and a metric has a series for each value. The first
ones get theirs, first come first served over all processes; the rest share `other`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from messaging.command_runner import AsyncCommandRunner
from telemetry import instruments
from telemetry.measurements import Measurement
from telemetry.metric_store import admit_labels

__all__ = ["MOST_VALUES", "OTHER", "LabelGate"]

OTHER: Final = "other"

MOST_VALUES: Final = {
    instruments.TENANT: 100,
    instruments.MODEL: 50,
    instruments.AGENT: 50,
    instruments.TOOL: 300,
    instruments.VERSION: 100,
    instruments.POOL: 100,
    instruments.DESTINATION: 100,
    instruments.QUEUE: 100,
}
"""How many values a label may have, besides `other`. The labels that are not here have a fixed set of them."""

_LONGEST: Final = 100


class LabelGate:
    """Lets values of labels through, or replaces them.

    Args:
        runner: Carries commands; what was let through once is remembered, and asked for no more.
    """

    def __init__(self, runner: AsyncCommandRunner) -> None:
        self._runner = runner
        self._admitted: dict[str, set[str]] = defaultdict(set)

    async def pass_through(self, measurements: Iterable[Measurement]) -> Sequence[Measurement]:
        """The same measurements, with values that get no series of their own replaced by `other`."""
        printable = [_printable(measurement) for measurement in measurements]
        asked: dict[str, set[str]] = defaultdict(set)
        for measurement in printable:
            for label, value in zip(measurement.instrument.labels, measurement.labels, strict=True):
                if label in MOST_VALUES and value and value not in self._admitted[label]:
                    asked[label].add(value)
        for label, values in asked.items():
            admitted = await self._runner.run(admit_labels(label, sorted(values), most=MOST_VALUES[label]))
            self._admitted[label] |= admitted
        return [self._passed(measurement) for measurement in printable]

    def _passed(self, measurement: Measurement) -> Measurement:
        labels = tuple(
            value if label not in MOST_VALUES or not value or value in self._admitted[label] else OTHER
            for label, value in zip(measurement.instrument.labels, measurement.labels, strict=True)
        )
        return measurement if labels == measurement.labels else replace(measurement, labels=labels)


def _printable(measurement: Measurement) -> Measurement:
    """Labels are short and without control characters, which also keeps the separator of fields out of them."""
    labels = tuple(value if value.isprintable() else _cleaned(value) for value in measurement.labels)
    labels = tuple(value[:_LONGEST] for value in labels)
    return measurement if labels == measurement.labels else replace(measurement, labels=labels)


def _cleaned(value: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in value)
