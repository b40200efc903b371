"""The outbox: rows that say what is to be sent, for whatever sends to read. Nothing here sends.

Each row carries the id of its call. That is not unique, on purpose: a second row is a second deed, and an outbox that
hid it would make an unsafe tool look safe. `repeated_calls` counts them; a system that keeps its promises leaves none.
This module must not know tools.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import JsonValue
from pydantic_settings import SettingsConfigDict

from workers.pools.database import Database, DatabaseSettings, open_database

__all__ = ["Entry", "NotifySettings", "Outbox", "create_outbox", "open_outbox"]

_FILE_NAME: Final = "outbox.sqlite3"

#: The table, and the indexes for a sender and for who counts. Times are ISO 8601 in UTC; the payload is JSON.
_TABLE: Final = (
    """
    CREATE TABLE IF NOT EXISTS outbox (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        channel TEXT NOT NULL,
        recipient TEXT NOT NULL,
        payload TEXT NOT NULL,
        tenant TEXT NOT NULL,
        requested_by TEXT,
        job_id TEXT NOT NULL,
        call_id TEXT NOT NULL,
        created_at TEXT NOT NULL,
        sent_at TEXT
    )
    """,
    "CREATE INDEX IF NOT EXISTS outbox_by_call ON outbox (call_id)",
    "CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (created_at) WHERE sent_at IS NULL",
)

#: Of SQLite alone: one row if the table is there.
_TABLE_EXISTS: Final = "SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = 'outbox'"

#: Adds an entry that waits to be sent.
_ADD: Final = """
    INSERT INTO outbox (id, kind, channel, recipient, payload, tenant, requested_by, job_id, call_id, created_at)
    VALUES (:id, :kind, :channel, :recipient, :payload, :tenant, :requested_by, :job_id, :call_id, :created_at)
"""

#: The calls that did their deed more than once.
_REPEATED: Final = """
    SELECT call_id, COUNT(*) AS entries FROM outbox GROUP BY call_id HAVING COUNT(*) > 1 ORDER BY call_id
"""


class NotifySettings(DatabaseSettings):
    """`TRUNKLINE_NOTIFY_DATABASE_URL`, `TRUNKLINE_DATA_DIR`: see `DatabaseSettings`."""

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_NOTIFY_")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is to be sent, and who asked for it."""

    kind: Literal["message", "viewing"]
    channel: Literal["email", "sms"]
    recipient: str
    """An email address or an E.164 telephone number."""
    payload: Mapping[str, JsonValue]
    tenant: str
    requested_by: str | None
    job_id: str
    call_id: str


class Outbox:
    """The table of what is to be sent."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, entry: Entry) -> str:
        """Add an entry and return its id. When this returns, the row is durable.

        Raises:
            NothingChanged: there is no such row.
            AnswerLost: there may be.
        """
        entry_id = uuid.uuid4().hex
        self.database.run(
            _ADD,
            {
                "id": entry_id,
                "kind": entry.kind,
                "channel": entry.channel,
                "recipient": entry.recipient,
                "payload": json.dumps(entry.payload, ensure_ascii=False),
                "tenant": entry.tenant,
                "requested_by": entry.requested_by,
                "job_id": entry.job_id,
                "call_id": entry.call_id,
                "created_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            },
        )
        return entry_id

    def repeated_calls(self) -> dict[str, int]:
        """The calls with more than one entry, and how many they have; for tests and operators to count."""
        return {row["call_id"]: row["entries"] for row in self.database.run(_REPEATED)}


def open_outbox(settings: NotifySettings | None = None) -> Outbox:
    """The outbox that `settings`, by default the environment's, name. Nothing is opened before it is used."""
    return Outbox(open_database(settings or NotifySettings(), file_name=_FILE_NAME, prepare=_prepare_file))


def create_outbox(database: Database) -> None:
    """Make the table where it is not there yet."""
    with database.transaction():
        for statement in _TABLE:
            database.run(statement)


def _prepare_file(database: Database) -> None:
    if not database.run(_TABLE_EXISTS):
        create_outbox(database)
