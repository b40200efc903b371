"""`trunkline dead`: messages that nobody processed, and why."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trunkline.command_line.failures import BadInput, NotFound
from trunkline.command_line.output import JsonOption, Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from messaging.command_runner import BlockingRunner
    from messaging.dead_letters import DeadLetter

__all__ = ["commands"]

commands = typer.Typer(help="Look at dead letters, put them back or discard them.", no_args_is_help=True)

_Id = Annotated[str | None, typer.Argument(metavar="[ID]", help="The dead letter's id.", show_default=False)]
_InQueue = Annotated[str | None, typer.Option("--queue", help="Only those of this queue.")]
_OfActor = Annotated[str | None, typer.Option("--actor", help="Only those for this actor.")]
_Since = Annotated[str | None, typer.Option(metavar="1h|TIME", help="Only those that died since then.")]
_All = Annotated[bool, typer.Option("--all", help="All that the other options let through.")]


@commands.command("list")
def list_letters(
    queue: _InQueue = None,
    actor: _OfActor = None,
    since: _Since = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many of each queue.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, newest first."""
    from trunkline.command_line.connection import connect_ops
    from trunkline.command_line.dead_tables import letter_document, letters_table

    output = Output(as_json=as_json)
    with connect_ops() as (runner, _):
        letters = _find(runner, queue=queue, actor=actor, since=since, limit=limit)
    if as_json:
        output.document([letter_document(letter) for letter in letters])
    elif not letters:
        output.print("There is no dead letter.")
    else:
        output.print(letters_table(letters, output, now=datetime.now(UTC)))


@commands.command()
def show(
    id: Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id.", show_default=False)],
    content: Annotated[bool, typer.Option("--content", help="Show also what was said in it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter: its message and its cause. What looks like a secret is hidden always."""
    from trunkline.command_line.connection import connect_ops
    from trunkline.command_line.dead_tables import letter_document, letter_facts

    output = Output(as_json=as_json)
    with connect_ops() as (runner, _):
        letter = _one(runner, id)
    if as_json:
        output.document(letter_document(letter, content=content))
    else:
        output.print(letter_facts(letter, output, content=content))


@commands.command()
def retry(
    id: _Id = None,
    all_of_them: _All = False,
    queue: _InQueue = None,
    actor: _OfActor = None,
    since: _Since = None,
    as_json: JsonOption = False,
) -> None:
    """Put dead letters back into their queues, each exactly once, with no crashes counted."""
    _end("retry", id, all_of_them, queue, actor, since, as_json=as_json)


@commands.command()
def discard(
    id: _Id = None,
    all_of_them: _All = False,
    queue: _InQueue = None,
    actor: _OfActor = None,
    since: _Since = None,
    as_json: JsonOption = False,
) -> None:
    """Drop dead letters for good."""
    _end("discard", id, all_of_them, queue, actor, since, as_json=as_json)


def _end(
    how: Literal["retry", "discard"],
    id: str | None,
    all_of_them: bool,
    queue: str | None,
    actor: str | None,
    since: str | None,
    *,
    as_json: bool,
) -> None:
    from messaging.dead_letters import end_dead_letter
    from trunkline.command_line.connection import connect_ops

    if (id is None) == (not all_of_them):
        raise BadInput("usage", "give the id of one dead letter, or --all")
    output = Output(as_json=as_json)
    with connect_ops() as (runner, _):
        letters = [_one(runner, id)] if id else _find(runner, queue=queue, actor=actor, since=since, limit=10_000)
        ended = [letter.id for letter in letters if runner.run(end_dead_letter(letter.queue, letter.id, how))]
    if as_json:
        output.document({how: ended})
    else:
        done = "put back" if how == "retry" else "discarded"
        output.print(f"{done.capitalize()}: {len(ended)} of {len(letters)}.")


def _one(runner: "BlockingRunner", id: str) -> "DeadLetter":
    for letter in _find(runner, queue=None, actor=None, since=None, limit=10_000):
        if letter.id == id:
            return letter
    raise NotFound("dead_letter_unknown", f"there is no dead letter {id}; `trunkline dead list` shows them")


def _find(
    runner: "BlockingRunner", *, queue: str | None, actor: str | None, since: str | None, limit: int
) -> "Sequence[DeadLetter]":
    from messaging.dead_letters import read_dead_letters
    from messaging.queue_states import read_queue_states
    from trunkline.command_line.moments import read_moment

    since_when = None if since is None else read_moment(since, option="--since", now=datetime.now(UTC))
    states = runner.run(read_queue_states())
    if queue is not None and queue not in [state.name for state in states]:
        known = ", ".join(state.name for state in states) or "none yet"
        raise NotFound("queue_unknown", f"there is no queue {queue}; the queues are: {known}")
    letters = [
        letter
        for state in states
        if state.dead and queue in (None, state.name)
        for letter in runner.run(read_dead_letters(state.name, since=since_when, limit=limit))
        if actor in (None, letter.actor)
    ]
    return sorted(letters, key=lambda letter: letter.died_at, reverse=True)
