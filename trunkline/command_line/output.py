"""Writing what a command has to say: for people on a console, or as JSON; errors and notes on standard error.

On a terminal, text is wrapped and coloured. Elsewhere each line is whole and plain, for files and other programs.
"""

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from trunkline.command_line.failures import Failure

__all__ = ["JsonOption", "Output", "OutputClosed", "print_failure"]

JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON for programs, errors included.")]

#: Lines of a console are not longer, so that the eye finds the next one.
_WIDEST: Final = 120
#: Where nobody sees it nothing is wrapped.
_ENDLESS: Final = 10_000


class OutputClosed(Exception):
    """Whoever reads our output has gone."""


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise OutputClosed from None


class Output:
    """Where a command writes.

    Args:
        as_json: Whether programs read it.
        quiet: Whether nothing is written for people either.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self._quiet = quiet
        self.console = _console(sys.stdout)
        self._notes = _console(sys.stderr)

    @property
    def _for_people(self) -> bool:
        return not self.as_json and not self._quiet

    @property
    def is_interactive(self) -> bool:
        """Whether a person watches it on a terminal that can redraw a line."""
        return self._for_people and self.console.is_terminal and not self.console.is_dumb_terminal

    @property
    def width(self) -> int:
        """How long a line may become before it should be shortened."""
        return min(self.console.width, _WIDEST)

    def print(self, *things: RenderableType) -> None:
        """Writes for people; nothing if programs read."""
        if self._for_people:
            for thing in things or ("",):
                self.console.print(thing)

    def note(self, text: str | Text) -> None:
        """Writes to standard error what is not the result: hints and warnings. Nothing if programs read."""
        if self._for_people:
            self._notes.print(text)

    def hint(self, text: str) -> None:
        """Writes to standard error what helps a person to go on; nothing if nobody looks at it."""
        if self._notes.is_terminal:
            self.note(text)

    def plain(self, text: str) -> None:
        """Writes text as it is, for people and for whatever a person pipes it to."""
        if self._for_people:
            _write(text)

    def document(self, value: Any) -> None:
        """Writes one JSON document."""
        _write(json.dumps(value, indent=2, ensure_ascii=False))

    def line(self, value: Mapping[str, Any]) -> None:
        """Writes one line of JSON, at once."""
        _write(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    def table(self, *columns: str) -> Table:
        """An empty table in the look of all of ours.

        Args:
            columns: Their names. One that begins with `>` is aligned to the right. One that begins with `~` gets the
                room that the others leave; then each row is one line, which is cut at the edge of a terminal.
        """
        one_line = any(column.startswith("~") for column in columns)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.expand = one_line and self.console.is_terminal
        for column in columns:
            table.add_column(
                column.lstrip(">~"),
                justify="right" if column.startswith(">") else "left",
                no_wrap=one_line,
                overflow="ellipsis",
                ratio=1 if table.expand and column.startswith("~") else None,
            )
        return table

    def facts(self) -> Table:
        """An empty table of names and values."""
        table = self.table("", "")
        table.show_header = False
        table.columns[0].style = "dim"
        return table


def print_failure(failure: Failure, *, as_json: bool) -> None:
    """Writes an error to standard error."""
    if as_json:
        print(json.dumps({"error": {"code": failure.code, "message": failure.message}}), file=sys.stderr)
        return
    _console(sys.stderr).print(Text.assemble(("Error: ", "bold red"), failure.message))


def _console(stream: Any) -> Console:
    width = None if stream.isatty() else _ENDLESS
    return _Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def _write(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise OutputClosed from None
