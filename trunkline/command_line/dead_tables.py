"""Tables of dead letters, and the same for programs."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from messaging.dead_letters import DeadLetter
from trunkline.command_line.output import Output
from trunkline.command_line.rendering import ago, one_line, printable, shortened

__all__ = ["letter_document", "letter_facts", "letters_table"]


def letters_table(letters: Sequence[DeadLetter], output: Output, *, now: datetime) -> Table:
    """A line for each dead letter."""
    table = output.table("id", "queue", "actor", "died", "reason", "error")
    table.columns[0].overflow = "fold"
    for letter in letters:
        table.add_row(
            Text(one_line(letter.id)),
            letter.queue,
            Text(one_line(letter.actor or "–")),
            ago(letter.died_at, now=now),
            Text(one_line(letter.reason), "red"),
            Text(shortened(letter.error, 60), "dim"),
        )
    return table


def letter_facts(letter: DeadLetter, output: Output, *, content: bool) -> Table:
    """Everything known of one; with what was said in it if `content`."""
    message = letter.content if content else letter.message
    table = output.facts()
    table.add_row("id", Text(one_line(letter.id)))
    table.add_row("queue", letter.queue)
    table.add_row("actor", Text(one_line(letter.actor or "–")))
    table.add_row("died", letter.died_at.astimezone().isoformat(sep=" ", timespec="seconds"))
    table.add_row("reason", Text(one_line(letter.reason), "red"))
    table.add_row("error", Text(printable(letter.error)))
    table.add_row("message", Text(printable(message if isinstance(message, str) else json.dumps(message, indent=2))))
    return table


def letter_document(letter: DeadLetter, *, content: bool = False) -> dict[str, Any]:
    """A dead letter for programs."""
    return {
        "id": letter.id,
        "queue": letter.queue,
        "actor": letter.actor,
        "died_at": letter.died_at.isoformat(),
        "reason": letter.reason,
        "error": letter.error,
        "message": letter.content if content else letter.message,
    }
