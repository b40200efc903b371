"""`trunkline queue`: how queues stand, and what they may do."""

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trunkline.command_line.failures import BadInput, DeploymentFailed, NotFound
from trunkline.command_line.output import JsonOption, Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from messaging.command_runner import BlockingRunner
    from messaging.queue_states import QueueState

__all__ = ["commands"]

commands = typer.Typer(help="See how queues stand; pause, limit and empty them.", no_args_is_help=True)

_Queue = Annotated[
    str, typer.Argument(metavar="QUEUE", help="A pool's name, orchestrator or intake.", show_default=False)
]
_LOOK_INTERVAL_S: Final = 0.2


@commands.command("list")
def list_queues(as_json: JsonOption = False) -> None:
    """List queues: what waits, could start now, is in flight, scheduled or dead, and under which limits."""
    from trunkline.command_line.connection import connect_ops
    from trunkline.command_line.queue_tables import queue_document, queues_table

    output = Output(as_json=as_json)
    with connect_ops() as (runner, workers):
        states, living = _states(runner), workers.living()
    if as_json:
        output.document([queue_document(state, living) for state in states])
    elif not states:
        output.print("There is no queue yet.")
    else:
        output.print(queues_table(states, living, output))


@commands.command()
def watch(
    every: Annotated[str, typer.Option(metavar="1s", help="How often to look.")] = "1s", as_json: JsonOption = False
) -> None:
    """Show the list again and again, until Ctrl-C. With --json: a line for each look."""
    from rich.live import Live

    from trunkline.command_line.connection import connect_ops
    from trunkline.command_line.moments import read_duration
    from trunkline.command_line.queue_tables import queue_document, queues_table

    output = Output(as_json=as_json)
    pause_s = read_duration(every, option="--every").total_seconds()
    with connect_ops() as (runner, workers):
        if not output.is_interactive:
            while True:
                states, living = _states(runner), workers.living()
                output.line(
                    {"queues": [queue_document(state, living) for state in states]}
                ) if as_json else output.print(queues_table(states, living, output), "")
                time.sleep(pause_s)
        with Live(console=output.console, auto_refresh=False, screen=False) as live:
            while True:
                live.update(queues_table(_states(runner), workers.living(), output), refresh=True)
                time.sleep(pause_s)


@commands.command()
def pause(queue: _Queue, as_json: JsonOption = False) -> None:
    """Let nothing more start. What is in flight goes on; what comes waits."""
    _set_paused(queue, paused=True, as_json=as_json)


@commands.command()
def resume(queue: _Queue, as_json: JsonOption = False) -> None:
    """End a pause."""
    _set_paused(queue, paused=False, as_json=as_json)


@commands.command()
def drain(
    queue: _Queue,
    wait: Annotated[bool, typer.Option("--wait", help="Return when nothing is in flight any more.")] = False,
    timeout: Annotated[str, typer.Option(metavar="5m", help="For how long to wait at most.")] = "5m",
    as_json: JsonOption = False,
) -> None:
    """Pause a queue, so that its workers run empty and can be stopped without anything being given back."""
    from messaging.limits import pause_queue
    from trunkline.command_line.connection import connect_ops
    from trunkline.command_line.moments import read_duration

    output = Output(as_json=as_json)
    give_up_at = time.monotonic() + read_duration(timeout, option="--timeout").total_seconds()
    with connect_ops() as (runner, _):
        state = _state(runner, queue)
        runner.run(pause_queue(queue, paused=True))
        output.print(f"{queue} is paused.")
        while wait and (state := _state(runner, queue)).in_flight:
            if time.monotonic() > give_up_at:
                raise DeploymentFailed(
                    "timeout",
                    f"{state.in_flight} messages of {queue} are still in flight after {timeout}; it stays paused",
                )
            time.sleep(_LOOK_INTERVAL_S)
    if as_json:
        output.document({"queue": queue, "paused": True, "in_flight": state.in_flight})
    elif wait:
        output.print(f"{queue}: nothing is in flight.")


@commands.command()
def limit(
    queue: _Queue,
    rate: Annotated[str | None, typer.Option(metavar="50/s", help="How many may start: 50/s, 300/min, 1000/h.")] = None,
    burst: Annotated[
        int | None, typer.Option(help="How many of them at once after a quiet time; 1 by default.")
    ] = None,
    max_in_flight: Annotated[int | None, typer.Option(help="How many may be in flight, over all processes.")] = None,
    fair: Annotated[
        bool | None, typer.Option("--fair/--not-fair", help="Whether tenants and priorities share the queue.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Limit this tenant within the queue, or every tenant without its own: '*'.")
    ] = None,
    weight: Annotated[float | None, typer.Option(help="With --tenant: its share beside other tenants.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Take all limits away that are not given here.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Change what a queue may do, while traffic runs;

    in effect within a second everywhere. Without options: show it.
    """
    from trunkline.command_line.connection import connect_ops
    from trunkline.command_line.limiting import change_queue, change_tenant
    from trunkline.command_line.queue_tables import limits_text, queue_document

    output = Output(as_json=as_json)
    with connect_ops() as (runner, workers):
        state = _state(runner, queue)
        if tenant is not None:
            if fair is not None:
                raise BadInput("usage", "--fair: it is the queue's, not a tenant's; set it in a command of its own")
            change_tenant(runner, queue, tenant, rate, burst, max_in_flight, weight, none=none)
        elif weight is not None:
            raise BadInput("usage", "--weight: it is a tenant's; say which with --tenant")
        elif none or any(value is not None for value in (rate, burst, max_in_flight, fair)):
            change_queue(runner, queue, None if none else state.limits, rate, burst, max_in_flight, fair)
        state, living = _state(runner, queue), workers.living()
    if as_json:
        output.document(queue_document(state, living))
    else:
        output.print(f"{queue}: {limits_text(state.limits) or 'no limits'}")
        if tenant is not None and not state.limits.fair:
            output.note(f"Note: {queue} is not fair, so limits of tenants are not kept; see --fair.")


@commands.command()
def purge(
    queue: _Queue,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Drop whatever waits, is scheduled or is dead in a queue. What is in flight is left alone.

    Jobs that wait for a dropped message are found by the sweeper, which sends it again; to end jobs, cancel them.
    """
    from messaging.queue_commands import purge
    from trunkline.command_line.connection import connect_ops

    output = Output(as_json=as_json)
    with connect_ops() as (runner, _):
        state = _state(runner, queue)
        many = state.waiting + state.scheduled + state.dead
        if not yes:
            typer.confirm(f"Drop {many} messages of {queue}?", abort=True, err=True)
        dropped = runner.run(purge(queue))
    if as_json:
        output.document({"queue": queue, "dropped": dropped})
    else:
        output.print(f"{queue}: dropped {dropped} messages.")


def _set_paused(queue: str, *, paused: bool, as_json: bool) -> None:
    from messaging.limits import pause_queue
    from trunkline.command_line.connection import connect_ops

    output = Output(as_json=as_json)
    with connect_ops() as (runner, _):
        _state(runner, queue)
        runner.run(pause_queue(queue, paused=paused))
    if as_json:
        output.document({"queue": queue, "paused": paused})
    else:
        output.print(f"{queue} is paused." if paused else f"{queue} goes on.")


def _states(runner: "BlockingRunner") -> "Sequence[QueueState]":
    from messaging.queue_states import read_queue_states

    return runner.run(read_queue_states())


def _state(runner: "BlockingRunner", queue: str) -> "QueueState":
    states = {state.name: state for state in _states(runner)}
    if queue not in states:
        known = ", ".join(states) or "none yet"
        raise NotFound("queue_unknown", f"there is no queue {queue}; the queues are: {known}")
    return states[queue]
