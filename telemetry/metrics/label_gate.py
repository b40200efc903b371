"""Keeps the number of series bounded: labels whose values come from outside have at most so many of them.

Tenants, models, agents and tools are named by upstream systems, and a metric has a series for each value. The first
ones get theirs, first come first served over all processes; the rest share `other`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from messaging.command_runner import AsyncCommandRunner
from telemetry.metrics import instruments
from telemetry.metrics.fields import Labels, SeriesSum
from telemetry.metrics.instruments import Instrument
from telemetry.metrics.store import admit_labels

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
_MOST_REMEMBERED: Final = 20_000


class LabelGate:
    """Lets values of labels through, or replaces them.

    Args:
        runner: Carries commands. What became of a series once is remembered, and asked for no more: what was let
            through is not taken back, and what came too late will always be.
    """

    def __init__(self, runner: AsyncCommandRunner) -> None:
        self._runner = runner
        self._passed: dict[tuple[Instrument, Labels], Labels] = {}

    async def pass_through(self, sums: Sequence[SeriesSum]) -> Sequence[SeriesSum]:
        """The same sums, with values of labels that get no series of their own replaced by `other`."""
        if len(self._passed) > _MOST_REMEMBERED:
            self._passed = {each: labels for each, labels in self._passed.items() if OTHER not in labels}
        series = {(one.instrument, one.labels) for one in sums}
        await self._look_at([each for each in series if each not in self._passed])
        return [replace(one, labels=self._passed[one.instrument, one.labels]) for one in sums]

    async def _look_at(self, series: Sequence[tuple[Instrument, Labels]]) -> None:
        asked: dict[str, set[str]] = defaultdict(set)
        for instrument, labels in series:
            for label, value in zip(instrument.labels, labels, strict=True):
                if label in MOST_VALUES and value:
                    asked[label].add(_cleaned(value))
        admitted = {
            label: await self._runner.run(admit_labels(label, sorted(values), most=MOST_VALUES[label]))
            for label, values in asked.items()
        }
        for instrument, labels in series:
            cleaned = [(label, _cleaned(value)) for label, value in zip(instrument.labels, labels, strict=True)]
            self._passed[instrument, labels] = tuple(
                value if label not in MOST_VALUES or not value or value in admitted[label] else OTHER
                for label, value in cleaned
            )


def _cleaned(value: str) -> str:
    """Labels are short and without control characters, which also keeps the separator of fields out of them."""
    if not value.isprintable():
        value = "".join(character if character.isprintable() else "?" for character in value)
    return value[:_LONGEST]
