"""`trunkline submit`: handing a job in."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trunkline.command_line.failures import BadInput
from trunkline.command_line.output import JsonOption, Output

if TYPE_CHECKING:
    from schemas.chat_job import ChatJob

__all__ = ["submit"]


def submit(
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="What the user says.", show_default=False)] = None,
    file: Annotated[
        str | None, typer.Option(metavar="JOB.json", help="A whole chat job as JSON instead; - is standard input.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Tell what happens until the job has ended.")] = False,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end and print the answer only.")] = False,
    tools: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Tools that the model may call, as name, name@version or property_*."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model's name at its endpoint.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose job it is.")] = None,
    permission: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AREA:ACTION",
            help="What the job may do; several times for several. Without it (and without a caller in the file) "
            "everything, *, as you could anyway.",
        ),
    ] = None,
    conversation: Annotated[str | None, typer.Option(metavar="ID", help="The conversation that it continues.")] = None,
    if_busy: Annotated[
        Literal["wait", "refuse"] | None, typer.Option(help="If another job of the conversation has not ended.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Until when it must have ended, such as 90s, 5m or 2h.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The same job under the same key is one job.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Hand in a chat job and print its id.

    Once the id is printed the job is never lost, whatever becomes of this command.
    """
    if (text is None) == (file is None):
        raise BadInput("usage", "give either a TEXT or a --file")
    if follow and wait:
        raise BadInput("usage", "--follow tells more than --wait; give one of them")
    from trunkline.command_line.job_request import JobOptions, job_from_file, job_from_text
    from trunkline.command_line.moments import read_duration

    options = JobOptions(
        tools=tools or (),
        model=model,
        tenant=tenant,
        permissions=permission or (),
        conversation_id=conversation,
        if_busy=if_busy,
        timeout=None if timeout is None else read_duration(timeout, option="--timeout"),
        idempotency_key=idempotency_key,
    )
    job = job_from_file(file, options) if file is not None else job_from_text(text or "", options)
    _hand_in(job, then="follow" if follow else "wait" if wait else "go on", output=Output(as_json=as_json))


def _hand_in(job: "ChatJob", *, then: Literal["follow", "wait", "go on"], output: Output) -> None:
    from trunkline.command_line.connection import connect
    from trunkline.command_line.following import follow, require_completed
    from trunkline.command_line.rendering import printable

    with connect() as (client, workers):
        accepted = client.submit(job)
        if then == "go on":
            output.plain(accepted.job_id)
            output.hint(f"Follow it: trunkline job follow {accepted.job_id}")
            if output.as_json:
                output.document(asdict(accepted))
            return
        if then == "follow":
            output.plain(accepted.job_id)
            if output.as_json:
                output.line({"type": "submitted", **asdict(accepted)})
            result, _ = follow(client, accepted.job_id, process=workers, output=output)
        else:
            output.hint(f"Waiting for {accepted.job_id} …")
            result = client.result(accepted.job_id)
            output.plain(printable(result.answer or ""))
            if output.as_json:
                output.document(result.model_dump(mode="json"))
        require_completed(result)
