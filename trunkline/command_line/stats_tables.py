"""Tables of how tools and models have done, and the same for programs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from telemetry.metrics.histogram import RELATIVE_ERROR, Histogram
from telemetry.metrics.tool_report import ModelLine, ToolLine
from trunkline.command_line.output import Output
from trunkline.command_line.rendering import duration_text, plural, printable

__all__ = ["print_stats", "stats_document"]

_SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def print_stats(
    tools: Sequence[ToolLine], models: Sequence[ModelLine], *, began: datetime | None, behind: int, output: Output
) -> None:
    """Writes both tables for people, as far as there is anything in them."""
    if not tools and not models:
        output.print("Nothing has been counted. A telemetry process does that: trunkline telemetry")
    elif began is not None:
        output.print(Text(f"since {began.astimezone():%Y-%m-%d %H:%M:%S}", "dim"), "")
    if tools:
        output.print(_tools_table(tools, output))
    if models:
        output.print(*([""] if tools else []), _models_table(models, output))
    if behind:
        output.note(f"{plural(behind, 'thing')} that ended {'is' if behind == 1 else 'are'} not counted yet.")


def stats_document(
    tools: Sequence[ToolLine], models: Sequence[ModelLine], *, began: datetime | None, behind: int
) -> dict[str, Any]:
    """The same for programs. Durations are seconds; percentiles are within `relative_error` of exact ones."""
    return {
        "since": None if began is None else began.isoformat(),
        "not_counted_yet": behind,
        "relative_error": RELATIVE_ERROR,
        "tools": [
            {
                "tool": line.tool,
                "version": line.version or None,
                "pool": line.pool or None,
                "calls": line.calls,
                "outcomes": dict(sorted(line.outcomes.items())),
                "errors": dict(sorted(line.errors.items())),
                "error_rate": line.error_rate,
                "ran": line.durations.count,
                **_durations(line.durations),
                "cache_hits": line.cache_hits,
                "retries": line.retries,
            }
            for line in tools
        ],
        "models": [
            {
                "model": line.model,
                "calls": line.calls,
                "errors": dict(sorted(line.errors.items())),
                **_durations(line.durations),
                "input_tokens": line.input_tokens,
                "output_tokens": line.output_tokens,
                "cost": line.cost,
            }
            for line in models
        ],
    }


def _durations(histogram: Histogram) -> dict[str, float | None]:
    percentiles = {f"{name}_s": histogram.percentile(share) for name, share in _SHARES.items()}
    return {"average_s": histogram.mean, **percentiles}


def _tools_table(lines: Sequence[ToolLine], output: Output) -> Table:
    table = output.table(
        "tool", ">calls", ">errors", ">error rate", ">average", ">p50", ">p95", ">p99", ">cached", ">retries", "kinds"
    )
    for line in lines:
        name = f"{line.tool}@{line.version}" if line.version else line.tool
        errors = sum(line.errors.values())
        table.add_row(
            Text(printable(name)),
            f"{line.calls:,}",
            Text(_or_dash(errors), "red" if errors else ""),
            "–" if line.error_rate is None else f"{line.error_rate:.1%}",
            *_duration_cells(line.durations),
            _or_dash(line.cache_hits),
            _or_dash(line.retries),
            Text(_kinds(line.errors), "dim"),
        )
    return table


def _models_table(lines: Sequence[ModelLine], output: Output) -> Table:
    table = output.table(
        "model", ">calls", ">errors", ">average", ">p50", ">p95", ">p99", ">tokens in", ">tokens out", ">cost", "kinds"
    )
    for line in lines:
        errors = sum(line.errors.values())
        table.add_row(
            Text(printable(line.model)),
            f"{line.calls:,}",
            Text(_or_dash(errors), "red" if errors else ""),
            *_duration_cells(line.durations),
            f"{line.input_tokens:,}",
            f"{line.output_tokens:,}",
            ", ".join(f"{cost:,.4f} {currency}" for currency, cost in sorted(line.cost.items())) or "–",
            Text(_kinds(line.errors), "dim"),
        )
    return table


def _duration_cells(histogram: Histogram) -> list[str]:
    seconds = (histogram.mean, *(histogram.percentile(share) for share in _SHARES.values()))
    return [duration_text(None if value is None else value * 1e6) for value in seconds]


def _kinds(errors: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {kind}" for kind, number in sorted(errors.items()))


def _or_dash(number: int) -> str:
    return f"{number:,}" if number else "–"
