"""Following a job: its events as they happen, as lines for people or for programs, and its result at the end."""

from contextlib import nullcontext
from typing import Any

from rich.table import Table
from rich.text import Text

from schemas.events import CallProgress, JobEvent
from schemas.job_result import JobResult
from trunkline.client import Client
from trunkline.command_line.failures import JobDidNotComplete
from trunkline.command_line.hops import Hop, hops_of, total_us
from trunkline.command_line.output import Output
from trunkline.command_line.rendering import duration_text, printable
from trunkline.command_line.story import Story, why_not
from trunkline.command_line.worker_process import FindProcess

__all__ = ["follow", "hops_table", "print_answer", "require_completed"]


def follow(client: Client, job_id: str, *, process: FindProcess, output: Output) -> tuple[JobResult, list[JobEvent]]:
    """Tells of a job's events until it has ended.

    For programs: a line of JSON for each event, then `{"type": "job_result", "result": …}`.

    Returns:
        The result, and the events.

    Raises:
        JobUnknown: There is no such job.
    """
    client.get(job_id)  # without it, a job that does not exist would be waited for
    story = Story(process=process, result=_Results(client, job_id), width=output.width)
    seen: list[JobEvent] = []
    status = output.console.status("", spinner="dots", spinner_style="dim") if output.is_interactive else nullcontext()
    try:
        with status as spinner:
            for event in client.events(job_id):
                seen.append(event)
                if output.as_json:
                    output.line(event.model_dump(mode="json"))
                    continue
                lines = story.tell(event)
                if spinner is not None:
                    spinner.update(Text(story.state, "dim", no_wrap=True, overflow="ellipsis"))
                    if isinstance(event, CallProgress):
                        continue  # the line that is redrawn says it
                for line in lines:
                    output.print(line)
    except KeyboardInterrupt:
        output.note(f"Stopped following; the job goes on. Follow it again: trunkline job follow {job_id}")
        raise
    result = client.get(job_id)
    if output.as_json:
        output.line({"type": "job_result", "result": result.model_dump(mode="json")})
    else:
        print_answer(result, output)
    return result, seen


def print_answer(result: JobResult, output: Output) -> None:
    """Writes the answer, if there is one, as a paragraph of its own."""
    if result.answer:
        output.print("", Text(printable(result.answer)))


def require_completed(result: JobResult) -> None:
    """Goes on only if the job completed.

    Raises:
        JobDidNotComplete: It did not.
    """
    if result.state != "completed":
        error = result.error
        did = "was cancelled" if result.state == "cancelled" else result.state
        message = f"job {result.job_id} {did}: {why_not(error, result.state)}".removesuffix(": ")
        raise JobDidNotComplete(error.code if error else result.state, message)


def hops_table(events: list[JobEvent], *, process: FindProcess, output: Output) -> Table:
    """How long each hop took, and in which process it was."""
    hops = hops_of(events)
    remarks = [""] if any(hop.outcome for hop in hops) else []
    table = output.table("turn", "hop", "process", ">queue", ">run", *remarks)
    turn = 0
    for hop in hops:
        table.add_row(
            str(hop.turn) if hop.turn != turn else "",
            Text(f"  {hop.name}" if hop.kind == "call" else hop.name),
            Text(_place(hop, process)),
            duration_text(hop.waited_us) if hop.kind != "gather" else "",
            duration_text(hop.ran_us),
            *([Text(hop.outcome, "" if hop.outcome == "cached" else "yellow")] if remarks else []),
        )
        turn = hop.turn
    total = total_us(events)
    if total is not None:
        table.add_row("", Text("whole job", "bold"), "", "", Text(duration_text(total), "bold"))
    return table


def _place(hop: Hop, process: FindProcess) -> str:
    if hop.kind == "gather":
        return ""
    found = process(hop.worker) if hop.worker is not None else None
    return ", ".join(part for part in (hop.queue, str(found) if found else "") if part) or "–"


class _Results:
    """What the model was told of calls; read when the first that is not known is asked for."""

    def __init__(self, client: Client, job_id: str) -> None:
        self._client = client
        self._job_id = job_id
        self._known: dict[tuple[int, int], str] = {}

    def __call__(self, turn: int, index: int) -> str | None:
        if (turn, index) not in self._known:
            calls: Any = self._client.calls(self._job_id)
            self._known |= {(call.turn, call.index): call.outcome.content for call in calls if call.outcome}
        return self._known.get((turn, index))
