"""What can go wrong with a database, sorted by what it means for a write, then by who has to act.

DatabaseError
├── NothingChanged              certain: no row was written
│   ├── DatabaseMisconfigured       the operator: a URL, a driver, a folder or a table is missing
│   ├── DatabaseNotReached          nobody: it is away or busy, a later call may get through
│   └── StatementRefused            the engineer: the database answered with an error and rolled back
└── AnswerLost                  nobody: the connection ended before the answer; a write may have happened
"""

__all__ = [
    "AnswerLost",
    "DatabaseError",
    "DatabaseMisconfigured",
    "DatabaseNotReached",
    "NothingChanged",
    "StatementRefused",
]


class DatabaseError(Exception):
    """Root of what this package raises."""


class NothingChanged(DatabaseError):
    """It is certain that no row was written."""


class DatabaseMisconfigured(NothingChanged):
    """An operator has to act: a URL, a driver, a folder or a table is missing."""


class DatabaseNotReached(NothingChanged):
    """The database is away or busy."""


class StatementRefused(NothingChanged):
    """The database answered with an error and rolled the statement back."""


class AnswerLost(DatabaseError):
    """The connection ended before the answer came: whether a write happened is unknown."""
