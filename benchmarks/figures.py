"""Figures of a benchmark: medians of its rounds, as a table for people and as a file for programs."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from rich.table import Table

from benchmarks.machine import describe_machine

RESULTS: Final = Path(__file__).parent / "results"
_REPOSITORY: Final = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured."""

    value: float
    unit: str
    better: Literal["higher", "lower"]


Figures = Mapping[str, Figure]


def median_figure(values: Sequence[float], unit: str, better: Literal["higher", "lower"]) -> Figure:
    """The median of what the rounds measured, to four significant digits."""
    return Figure(float(f"{statistics.median(values):.4g}"), unit, better)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that at least `percent` of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


def table(name: str, figures: Figures) -> Table:
    """The figures for people."""
    drawn = Table(title=name)
    drawn.add_column("figure", no_wrap=True)
    drawn.add_column("value", justify="right")
    drawn.add_column("unit")
    drawn.add_column("better")
    for figure, measured in figures.items():
        drawn.add_row(figure, f"{measured.value:g}", measured.unit, measured.better)
    return drawn


def write_results(name: str, figures: Figures) -> Path:
    """Writes `results/<name>.json` over the last one; answers where, from the repository's root."""
    result = {
        "name": name,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "figures": {figure: asdict(measured) for figure, measured in figures.items()},
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    return file.relative_to(_REPOSITORY)
