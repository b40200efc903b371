"""Tables of jobs and of their calls."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from rich.table import Table
from rich.text import Text

from schemas.call import Call
from schemas.job_result import JobResult
from trunkline.command_line.output import Output
from trunkline.command_line.rendering import ago, arguments_text, duration_text, one_line, plural, shortened
from trunkline.command_line.story import state_style, why_not

__all__ = ["calls_table", "facts_table", "jobs_table"]

#: Where more columns than the most important ones have room.
_WIDE: Final = 120
#: Of an answer no more is shown in a list, however much room there is.
_LONGEST: Final = 100


def jobs_table(jobs: Sequence[JobResult], output: Output, *, now: datetime) -> Table:
    """A line for each job."""
    wide = output.console.width >= _WIDE
    more = [">turns", ">calls", "tenant"] if wide else []
    table = output.table("job", "state", "accepted", ">took", *more, "~answer, or why not")
    for job in jobs:
        last = why_not(job.error, job.state) or job.answer or ""
        more_cells = [Text(str(job.turns)), Text(str(job.calls)), Text(one_line(job.tenant))] if wide else []
        table.add_row(
            job.job_id,
            Text(job.state, state_style(job.state)),
            ago(datetime.fromtimestamp(job.accepted_us / 1e6, UTC), now=now),
            _took(job),
            *more_cells,
            Text(shortened(last, _LONGEST), "dim"),
        )
    return table


def facts_table(job: JobResult, output: Output) -> Table:
    """What is known of a job besides its calls and its answer."""
    accepted = datetime.fromtimestamp(job.accepted_us / 1e6, UTC).astimezone()
    tokens = f", {job.usage.prompt_tokens} + {job.usage.completion_tokens} tokens" if job.usage.prompt_tokens else ""
    table = output.facts()
    table.add_row("job", job.job_id)
    table.add_row("conversation", job.conversation_id)
    table.add_row("state", Text(job.state, state_style(job.state)))
    if job.error:
        table.add_row("why", Text(why_not(job.error, job.state)))
    table.add_row("accepted", accepted.isoformat(sep=" ", timespec="seconds"))
    table.add_row("took", f"{_took(job)}; {plural(job.turns, 'turn')}, {plural(job.calls, 'call')}{tokens}")
    table.add_row("tenant", Text(one_line(job.tenant)))
    for name, value in job.metadata.items():
        table.add_row(Text(one_line(name)), Text(one_line(value)))
    return table


def calls_table(calls: Sequence[Call], output: Output) -> Table:
    """Two lines for each call: what was asked, and what the model was told."""
    table = output.table("call", "tool", "outcome", "~arguments, and what the model was told")
    for call in calls:
        kind = call.outcome.kind.replace("_", " ") if call.outcome else "open"
        told = Text(shortened(arguments_text(call.arguments), output.width))
        if call.outcome:
            told.append("\n" + shortened(call.outcome.content, output.width), "dim")
        style = {"succeeded": "green", "open": "cyan"}.get(kind, "red")
        table.add_row(f"{call.turn}/{call.index}", Text(one_line(call.tool)), Text(kind, style), told)
    return table


def _took(job: JobResult) -> str:
    return duration_text(None if job.ended_us is None else job.ended_us - job.accepted_us)
