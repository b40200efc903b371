"""What a pool may ask of its database, whichever it is. This module must not know SQLite or PostgreSQL."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

__all__ = ["Database", "Preparation", "Row", "Value"]

Value = str | int | float | None
Row = dict[str, Any]
"""A row by column name. What is in it is for a pydantic model to check."""


class Database(Protocol):
    """Connections belong to a thread each and are opened when it first needs one: as many as calls run at once."""

    def run(self, statement: str, values: Mapping[str, Value] | None = None) -> list[Row]:
        """Run one statement, on its own or in the transaction around it, and return its rows.

        Args:
            statement: SQL that both databases understand, with named parameters (`:city`).
            values: The value of each parameter. They are always bound, never spelled into the text.

        Raises:
            NothingChanged: nothing was written.
            AnswerLost: a write may have happened.
        """
        ...

    def run_many(self, statement: str, many: Iterable[Mapping[str, Value]]) -> None:
        """Run one statement for each set of values. Raises like `run`."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Whatever this thread runs inside happens as a whole or not at all. Raises like `run`."""
        ...


Preparation = Callable[[Database], None]
"""Brings a fresh database into shape. It may run again, and in several processes at once."""
