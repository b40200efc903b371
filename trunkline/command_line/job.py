"""`trunkline job`: looking at jobs, following and cancelling them."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from schemas.trace_ids import job_span_id
from trunkline.command_line.output import JsonOption, Output

__all__ = ["commands"]

commands = typer.Typer(help="Look at jobs, follow and cancel them.", no_args_is_help=True)

_JobId = Annotated[str, typer.Argument(metavar="JOB", help="The id that submit printed.", show_default=False)]
_State = Literal["waiting", "running", "completed", "failed", "cancelled", "expired"]


@commands.command()
def show(job: _JobId, as_json: JsonOption = False) -> None:
    """Show how a job stands: its answer or error, its calls, and how long each hop took."""
    from rich.text import Text

    from trunkline.command_line.connection import connect
    from trunkline.command_line.following import hops_table, print_answer
    from trunkline.command_line.job_tables import calls_table, facts_table

    output = Output(as_json=as_json)
    with connect() as (client, workers):
        result, calls = client.get(job), client.calls(job)
        if as_json:
            calls_made = [call.model_dump(mode="json") for call in calls]
            output.document({"job": result.model_dump(mode="json"), "calls": calls_made})
            return
        output.print(facts_table(result, output), "")
        if calls:
            output.print(calls_table(calls, output), "")
        if result.has_ended:
            events = list(client.events(job))
            output.print(hops_table(events, process=workers, output=output))
        else:
            output.print(Text(f"Follow it: trunkline job follow {job}", "dim"))
        print_answer(result, output)


@commands.command()
def follow(job: _JobId, as_json: JsonOption = False) -> None:
    """Tell what happens to a job, from its beginning to its end.

    With --json: a line for each event, then one with the result.
    """
    from trunkline.command_line.connection import connect
    from trunkline.command_line.following import follow, require_completed

    with connect() as (client, workers):
        result, _ = follow(client, job, process=workers, output=Output(as_json=as_json))
        require_completed(result)


@commands.command()
def trace(job: _JobId, as_json: JsonOption = False) -> None:
    """Show where the time of a job went: every wait, model call, tool run and retry, and what it was owed to.

    Drawn from the ledger; nothing else is needed. With TRUNKLINE_JAEGER_URL set it says where Jaeger shows the same.
    """
    from rich.text import Text

    from messaging.settings import load_settings
    from telemetry.facts_reader import read_job_now
    from telemetry.settings import TelemetrySettings
    from telemetry.traces.job_spans import spans_so_far
    from trunkline.command_line.connection import connect_ops
    from trunkline.command_line.waterfall import lines_of, owed_text, waterfall_json, waterfall_table
    from trunkline.errors import JobUnknown

    output, settings = Output(as_json=as_json), load_settings(TelemetrySettings)
    with connect_ops() as (runner, _):
        found = read_job_now(runner, job, namespace=settings.key_prefix)
    if found is None:
        raise JobUnknown(job)
    facts, now_us = found
    lines = lines_of(spans_so_far(facts, now_us=now_us), job_span_id(job))
    link = settings.jaeger_link(facts.record.trace_id)
    if as_json:
        spans = waterfall_json(lines)
        output.document(
            {"trace_id": facts.record.trace_id, "state": facts.record.state, "jaeger": link, "spans": spans}
        )
        return
    output.print(waterfall_table(lines, output), "")
    output.print(Text.assemble(("Critical path (●): ", "bold"), owed_text(lines)))
    output.print(Text(f"Trace {facts.record.trace_id}" + (f": {link}" if link else ""), "dim"))


@commands.command()
def cancel(
    job: _JobId,
    reason: Annotated[str, typer.Option(help="Why, for whoever waits for the answer.")] = "by an operator",
    as_json: JsonOption = False,
) -> None:
    """End a job: its queued calls are not run, its running ones are told to stop.

    A job that has ended already stays as it is.
    """
    from trunkline.command_line.connection import connect
    from trunkline.command_line.rendering import one_line

    output = Output(as_json=as_json)
    with connect() as (client, _):
        result = client.cancel(job, reason=reason)
    if as_json:
        output.document(result.model_dump(mode="json"))
    elif result.state == "cancelled" and result.error is not None:
        output.print(f"{job} is cancelled: {one_line(result.error.message)}")
    else:
        output.print(f"{job} had ended before: {result.state}")


@commands.command("list")
def list_jobs(
    state: Annotated[_State | None, typer.Option(help="Only jobs in this state.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only jobs of this tenant.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="1h|TIME", help="Only jobs accepted since then: how long ago, or ISO 8601.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first."""
    from trunkline.command_line.connection import connect
    from trunkline.command_line.job_tables import jobs_table
    from trunkline.command_line.moments import read_moment

    now = datetime.now(UTC)
    accepted_since = None if since is None else read_moment(since, option="--since", now=now)
    output = Output(as_json=as_json)
    with connect() as (client, _):
        jobs = client.list(state=state, tenant=tenant, since=accepted_since, limit=limit)
    if as_json:
        output.document([job.model_dump(mode="json") for job in jobs])
    elif not jobs:
        output.print("There is no such job.")
    else:
        output.print(jobs_table(jobs, output, now=now))
