"""`trunkline stats`: how tools and models have done, from the metrics in Redis, without any other software."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from trunkline.command_line.output import JsonOption, Output

__all__ = ["stats"]


def stats(
    tool: Annotated[str | None, typer.Option(metavar="NAME[@VERSION]", help="Only this tool.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Only this model.")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="1h", help="How long ago, or a time: by the minute for three hours, by the hour for 14 days."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show calls, errors, durations and cache hits of each tool; calls, tokens and cost of each model.

    Percentiles are within 1.1 % of exact ones. A telemetry process keeps the numbers; without --since, all there are.
    """
    from ledger.feed import read_feed_lag
    from telemetry.metrics.fields import hashes_since, read_series
    from telemetry.metrics.keeper import METRICS_GROUP
    from telemetry.metrics.store import read_hashes, read_metrics
    from telemetry.metrics.tool_report import model_lines, tool_lines
    from trunkline.command_line.connection import connect_ops
    from trunkline.command_line.moments import read_moment
    from trunkline.command_line.stats_tables import print_stats, stats_document

    output = Output(as_json=as_json)
    now = datetime.now(UTC)
    moment = None if since is None else read_moment(since, option="--since", now=now)
    with connect_ops() as (runner, _):
        if moment is None:
            stored = runner.run(read_metrics())
            hashes: Sequence[Mapping[str, int]] = [stored.totals]
            since_s = None if stored.since_us is None else stored.since_us / 1e6
        else:
            names, since_s = hashes_since(moment.timestamp(), now_s=time.time())
            hashes = runner.run(read_hashes(names))
        behind = runner.run(read_feed_lag(METRICS_GROUP)).entries
    series = read_series(hashes)
    tools = () if model is not None and tool is None else tool_lines(series, tool=tool)
    models = () if tool is not None and model is None else model_lines(series, model=model)
    began = None if since_s is None else datetime.fromtimestamp(since_s, tz=UTC)
    if as_json:
        output.document(stats_document(tools, models, began=began, behind=behind))
    else:
        print_stats(tools, models, began=began, behind=behind, output=output)
