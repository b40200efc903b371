"""What pools rely on in a SQLite file. `test_pools_on_postgresql` asks the same of PostgreSQL."""

import sqlite3
import threading
from pathlib import Path

import pytest

from workers.pools.database import Database, DatabaseNotReached, StatementRefused
from workers.pools.database.sqlite import SqliteDatabase


def _facts(database: Database) -> None:
    database.run("CREATE TABLE IF NOT EXISTS facts (fact INTEGER PRIMARY KEY)")


@pytest.fixture
def database(tmp_path: Path) -> SqliteDatabase:
    return SqliteDatabase(tmp_path / "folder" / "facts.sqlite3", prepare=_facts)


def test_nothing_is_opened_before_the_first_statement(database: SqliteDatabase) -> None:
    assert not database.path.parent.exists()
    assert database.run("SELECT * FROM facts") == []
    assert database.path.exists()


def test_a_transaction_that_fails_leaves_nothing(database: SqliteDatabase) -> None:
    def add_one_twice() -> None:
        with database.transaction():
            database.run_many("INSERT INTO facts VALUES (:fact)", [{"fact": 1}, {"fact": 2}])
            database.run("INSERT INTO facts VALUES (:fact)", {"fact": 1})

    with pytest.raises(StatementRefused, match="UNIQUE"):
        add_one_twice()
    assert database.run("SELECT * FROM facts") == []


def test_a_transaction_is_seen_by_others_as_a_whole(database: SqliteDatabase) -> None:
    seen: list[int] = []

    def look() -> None:
        seen.append(len(database.run("SELECT * FROM facts")))

    database.run("SELECT 1")
    with database.transaction():
        database.run("INSERT INTO facts VALUES (:fact)", {"fact": 1})
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    look()
    assert seen == [0, 1]


def test_a_statement_that_makes_no_sense_is_refused_and_the_connection_goes_on(database: SqliteDatabase) -> None:
    for statement in ("SELECT", "SELECT * FROM fiction", "SELECT :missing"):
        with pytest.raises(StatementRefused):
            database.run(statement)
    assert database.run("SELECT 1 AS one") == [{"one": 1}]


def test_a_file_that_another_writer_holds_for_too_long_is_not_reached(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.pools.database.sqlite._PATIENCE_S", 0.05)
    database.run("SELECT 1")
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseNotReached, match="busy"):
        database.run("INSERT INTO facts VALUES (1)")
    other.execute("ROLLBACK")
    database.run("INSERT INTO facts VALUES (1)")
    other.close()


def test_a_preparation_that_fails_is_done_again_at_the_next_statement(tmp_path: Path) -> None:
    attempts: list[str] = []

    def prepare(database: Database) -> None:
        attempts.append("prepare")
        if len(attempts) == 1:
            database.run("SELECT nonsense")
        _facts(database)

    database = SqliteDatabase(tmp_path / "facts.sqlite3", prepare=prepare)
    with pytest.raises(StatementRefused):
        database.run("SELECT 1")
    assert database.run("SELECT * FROM facts") == []
    assert len(attempts) == 2
