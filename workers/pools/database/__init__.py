"""Where pools keep rows: SQLite by default, PostgreSQL by URL, the same statements on both.

Not a pool: `settings` reads the environment and opens one of `sqlite` and `postgresql`, which both do what `database`
says and fail as `errors` says. Nothing here knows any table.
"""

from workers.pools.database.database import Database, Preparation, Row, Value
from workers.pools.database.errors import (
    AnswerLost,
    DatabaseError,
    DatabaseMisconfigured,
    DatabaseNotReached,
    NothingChanged,
    StatementRefused,
)
from workers.pools.database.settings import DatabaseSettings, open_database

__all__ = [
    "AnswerLost",
    "Database",
    "DatabaseError",
    "DatabaseMisconfigured",
    "DatabaseNotReached",
    "DatabaseSettings",
    "NothingChanged",
    "Preparation",
    "Row",
    "StatementRefused",
    "Value",
    "open_database",
]
