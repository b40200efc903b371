"""`trunkline pool`: which processes serve which queues."""

from datetime import UTC, datetime
from typing import Any

import typer

from trunkline.command_line.output import JsonOption, Output

__all__ = ["commands"]

commands = typer.Typer(help="See the processes that serve queues.", no_args_is_help=True)


@commands.command("list")
def list_processes(as_json: JsonOption = False) -> None:
    """List the living processes: where they run, what they serve, and what they hold."""
    from messaging.envelopes import living_workers
    from trunkline.command_line.connection import connect_ops

    output = Output(as_json=as_json)
    with connect_ops() as (runner, _):
        living = runner.run(living_workers())
    living.sort(key=lambda one: (one.get("role", ""), one.get("queues", [])))
    if as_json:
        output.document(living)
    elif not living:
        output.print("No process is alive; start `trunkline up`, `trunkline orchestrator` or `trunkline worker`.")
    else:
        output.print(_table(living, output))


def _table(living: list[dict[str, Any]], output: Output) -> Any:
    from rich.text import Text

    from trunkline.command_line.rendering import ago, duration_text, one_line

    table = output.table("serves", "host", ">process", ">busy", ">slots", ">reads", "started", ">last beat", "tools")
    now = datetime.now(UTC)
    for one in living:
        table.add_row(
            ", ".join(one.get("queues", [])),
            Text(one_line(str(one.get("host", "–")))),
            str(one.get("pid", "–")),
            str(one.get("held", "–")),
            str(one.get("slots", "–")),
            str(one.get("reads", "–")),
            ago(datetime.fromtimestamp(one.get("started", 0), UTC), now=now),
            duration_text(one["silent_ms"] * 1000),
            Text(one_line(", ".join(one.get("tools", []))), "dim"),
        )
    return table
