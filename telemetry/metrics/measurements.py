"""What is added to a metric: a value, the labels of its series, when it happened, and which trace shows it."""

from dataclasses import dataclass

from telemetry.metrics.instruments import Instrument

__all__ = ["MeasuredSpan", "Measurement"]

MeasuredSpan = tuple[str, str, int | None]
"""A trace's id, and whose span it is: the id of a turn or call and its attempt, or of a job and None.

The span's own id is derived from these, which is done only for the few values that become exemplars.
"""


@dataclass(slots=True)  # made dozens of times a job: frozen, each takes three times as long
class Measurement:
    """One thing that was counted or measured.

    Attributes:
        instrument: The metric, a counter or a histogram.
        labels: The values of its labels, in its order.
        value: How many, for a counter; what was measured, for a histogram. In the instrument's unit.
        at_us: When, by Redis's clock, µs since 1970.
        span: What was measured, for exemplars.
    """

    instrument: Instrument
    labels: tuple[str, ...]
    value: float
    at_us: int
    span: MeasuredSpan | None = None
