"""What `trunkline stats` tells of each tool and model: from the metrics' series to lines. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from telemetry.metrics import instruments as of
from telemetry.metrics.fields import Series
from telemetry.metrics.histogram import Histogram
from telemetry.metrics.instruments import Instrument
from telemetry.metrics.measuring import ERRORS

__all__ = ["ModelLine", "ToolLine", "model_lines", "tool_lines"]


@dataclass(slots=True)
class ToolLine:
    """One version of a tool.

    Attributes:
        tool: Its name.
        version: Its version; empty for names that models made up.
        pool: Where it runs; empty for calls that were refused before they were sent.
        outcomes: Calls by outcome.
        durations: How long it ran, seconds.
        retries: Attempts after the first one.
        cache_hits: Calls that were answered from the cache.
    """

    tool: str
    version: str
    pool: str
    outcomes: dict[str, int] = field(default_factory=dict)
    durations: Histogram = field(default_factory=Histogram)
    retries: int = 0
    cache_hits: int = 0

    @property
    def calls(self) -> int:
        """All that have ended."""
        return sum(self.outcomes.values())

    @property
    def errors(self) -> Mapping[str, int]:
        """Calls by the kind of error."""
        return {outcome: number for outcome, number in self.outcomes.items() if outcome in ERRORS}

    @property
    def error_rate(self) -> float | None:
        """The share of the calls that erred; None without calls."""
        return sum(self.errors.values()) / self.calls if self.calls else None


@dataclass(slots=True)
class ModelLine:
    """One model.

    Attributes:
        model: Its name, as jobs ask for it.
        durations: How long its calls took, seconds.
        errors: Failed calls by the kind of error.
        input_tokens: That its endpoint counted.
        output_tokens: Likewise.
        cost: By currency; empty if it has no price.
    """

    model: str
    durations: Histogram = field(default_factory=Histogram)
    errors: dict[str, int] = field(default_factory=dict)
    input_tokens: int = 0
    output_tokens: int = 0
    cost: dict[str, float] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """All, failed ones included."""
        return self.durations.count


def tool_lines(series: Mapping[Instrument, Series], *, tool: str | None = None) -> Sequence[ToolLine]:
    """A line for each tool, or for the versions of one, by name."""
    lines: dict[tuple[str, ...], ToolLine] = {}

    def line(labels: tuple[str, ...]) -> ToolLine:
        name, version, pool = labels
        return lines.setdefault(labels, ToolLine(name, version, pool))

    for labels, number in _numbers(series, of.TOOL_CALLS):
        line(labels[:-1]).outcomes[labels[-1]] = round(number)
    for key, durations in _histograms(series, of.TOOL_DURATION):
        line(key).durations = durations
    for key, number in _numbers(series, of.TOOL_RETRIES):
        line(key).retries = round(number)
    for key, number in _numbers(series, of.TOOL_CACHE_HITS):
        line(key).cache_hits = round(number)
    wanted = (each for each in lines.values() if tool is None or tool in (each.tool, f"{each.tool}@{each.version}"))
    return sorted(wanted, key=lambda each: (each.tool, each.version, each.pool))


def model_lines(series: Mapping[Instrument, Series], *, model: str | None = None) -> Sequence[ModelLine]:
    """A line for each model, or for one, by name."""
    lines: dict[str, ModelLine] = {}

    def line(name: str) -> ModelLine:
        return lines.setdefault(name, ModelLine(name))

    for (_, _, name, error), durations in _histograms(series, of.CLIENT_OPERATION_DURATION):
        line(name).durations += durations
        if error:
            line(name).errors[error] = line(name).errors.get(error, 0) + durations.count
    for (name, _, kind), number in _numbers(series, of.TOKENS):
        if kind == "input":
            line(name).input_tokens += round(number)
        else:
            line(name).output_tokens += round(number)
    costs: dict[tuple[str, str], float] = defaultdict(float)
    for (name, _, currency), number in _numbers(series, of.COST):
        costs[name, currency] += number
    for (name, currency), cost in costs.items():
        line(name).cost[currency] = cost
    return sorted((each for each in lines.values() if model in (None, each.model)), key=lambda each: each.model)


def _numbers(series: Mapping[Instrument, Series], instrument: Instrument) -> Sequence[tuple[tuple[str, ...], float]]:
    return list(series[instrument].numbers.items()) if instrument in series else ()


def _histograms(
    series: Mapping[Instrument, Series], instrument: Instrument
) -> Sequence[tuple[tuple[str, ...], Histogram]]:
    return list(series[instrument].histograms.items()) if instrument in series else ()
