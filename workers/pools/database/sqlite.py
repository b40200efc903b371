"""A SQLite file as a database. This module must not know any table."""

import sqlite3
import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from workers.pools.database.database import Preparation, Row, Value
from workers.pools.database.errors import DatabaseMisconfigured, DatabaseNotReached, StatementRefused

__all__ = ["SqliteDatabase"]

#: How long a statement waits for another writer, in seconds.
_PATIENCE_S: Final = 5

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class SqliteDatabase:
    """A SQLite file, made and prepared by its first user. Threads and processes may be that at the same time."""

    def __init__(self, path: Path, *, prepare: Preparation) -> None:
        self.path = path
        self._prepare = prepare
        self._thread = threading.local()

    def run(self, statement: str, values: Mapping[str, Value] | None = None) -> list[Row]:
        """See `Database.run`. `AnswerLost` cannot happen: the answer comes from this very process."""
        connection = self._connection()
        with _translated():
            return [dict(row) for row in connection.execute(statement, values or {}).fetchall()]

    def run_many(self, statement: str, many: Iterable[Mapping[str, Value]]) -> None:
        """See `Database.run_many`."""
        connection = self._connection()
        with _translated():
            connection.executemany(statement, many)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """See `Database.transaction`. Other writers wait from its beginning on."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def _connection(self) -> sqlite3.Connection:
        held: sqlite3.Connection | None = getattr(self._thread, "connection", None)
        if held is not None:
            return held
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=_PATIENCE_S, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise DatabaseMisconfigured(f"{self.path} cannot be opened ({error}); set TRUNKLINE_DATA_DIR") from error
        connection.row_factory = sqlite3.Row
        self._thread.connection = connection
        try:
            self._prepare(self)
        except BaseException:
            del self._thread.connection
            connection.close()
            raise
        return connection


@contextmanager
def _translated() -> Generator[None]:
    """The one place where sqlite3's exceptions become ours."""
    try:
        yield
    except sqlite3.Error as error:
        # The low byte is the code itself; sqlite3's own complaints, such as a missing value, have none.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY:
            raise DatabaseNotReached(f"SQLite is busy: {error}") from error
        raise StatementRefused(f"SQLite: {error}") from error
