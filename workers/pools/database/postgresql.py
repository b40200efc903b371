"""A PostgreSQL server as a database. This module must not know any table.

It is imported only where a URL names PostgreSQL, since its driver is an extra.
"""

import re
import threading
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from workers.pools.database.database import Row, Value
from workers.pools.database.errors import AnswerLost, DatabaseMisconfigured, DatabaseNotReached, StatementRefused

__all__ = ["PostgresDatabase"]

_Connection = psycopg.Connection[Row]

#: What a URL may override. The time limit for statements is the URL's or the role's (`statement_timeout`).
_DEFAULTS: Final = {"connect_timeout": "5", "application_name": "trunkline"}
#: A connection idle for longer is tried before it is used: its server may have been restarted. In seconds.
_TRUSTED_FOR_S: Final = 1.0

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")


class PostgresDatabase:
    """A PostgreSQL database. It is the operator's: nothing is created in it without being asked for."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._thread = threading.local()

    def run(self, statement: str, values: Mapping[str, Value] | None = None) -> list[Row]:
        """See `Database.run`."""
        connection = self._connection()
        with _translated(connection):
            cursor = connection.execute(_in_psycopg_form(statement), values or {})
            return cursor.fetchall() if cursor.description else []

    def run_many(self, statement: str, many: Iterable[Mapping[str, Value]]) -> None:
        """See `Database.run_many`."""
        connection = self._connection()
        with _translated(connection), connection.cursor() as cursor:
            cursor.executemany(_in_psycopg_form(statement), many)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """See `Database.transaction`."""
        connection = self._connection()
        with _translated(connection), connection.transaction():
            yield

    def _connection(self) -> _Connection:
        held: _Connection | None = getattr(self._thread, "connection", None)
        if held is None or not self._leads_somewhere(held):
            held = self._thread.connection = _connect(self._url)
        self._thread.used_at = time.monotonic()
        return held

    def _leads_somewhere(self, connection: _Connection) -> bool:
        if connection.closed or time.monotonic() - self._thread.used_at < _TRUSTED_FOR_S:
            return not connection.closed
        try:
            connection.execute(b"")
        except psycopg.Error:
            connection.close()
        return not connection.closed


def _connect(url: str) -> _Connection:
    try:
        conninfo = make_conninfo("", **{**_DEFAULTS, **conninfo_to_dict(url)})
    except psycopg.Error:
        # libpq quotes the text it cannot read, which may hold a password: its words are not passed on.
        raise DatabaseMisconfigured("The PostgreSQL URL cannot be read") from None
    try:
        return psycopg.connect(conninfo, autocommit=True, row_factory=dict_row)
    except psycopg.Error as error:
        raise DatabaseNotReached(f"PostgreSQL cannot be reached: {error}") from error


@cache
def _in_psycopg_form(statement: str) -> bytes:
    """The statement with `%(name)s` for `:name`."""
    return _PARAMETER.sub(r"%(\1)s", statement.replace("%", "%%")).encode()


@contextmanager
def _translated(connection: _Connection) -> Generator[None]:
    """The one place where psycopg's exceptions become ours."""
    try:
        yield
    except psycopg.Error as error:
        if connection.closed:
            raise AnswerLost(f"PostgreSQL: {error}") from error
        if isinstance(error, psycopg.errors.UndefinedTable):
            raise DatabaseMisconfigured(f"PostgreSQL: {error}") from error
        raise StatementRefused(f"PostgreSQL: {error}") from error
