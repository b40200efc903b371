"""The property and notify pools on PostgreSQL: the same statements, the same answers as on SQLite.

Needs the server's programs, and is skipped where they are not installed.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from workers.context import ToolContext
from workers.errors import NotDone
from workers.pools.database import (
    AnswerLost,
    DatabaseMisconfigured,
    DatabaseNotReached,
    StatementRefused,
)
from workers.pools.database.postgresql import PostgresDatabase
from workers.pools.notify import tools as notify
from workers.pools.notify.outbox import open_outbox
from workers.pools.property.listings import Listings, PropertySettings, open_listings
from workers.pools.property.results import PropertySearch


def _program(name: str) -> str:
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    found = shutil.which(name) or next(map(str, installed), None)
    if found is None:
        pytest.skip(f"PostgreSQL is not installed here: there is no {name}")
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """A PostgreSQL of its own that is reached by a socket in the folder. Its files are not forced to the disk."""
    initdb, postgres = _program("initdb"), _program("postgres")
    # PostgreSQL refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, user)
        environment = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
        subprocess.run(
            [
                initdb,
                "--pgdata",
                folder / "data",
                "--auth=trust",
                "--username=trunkline",
                "--no-sync",
                "--encoding=UTF8",
            ],
            check=True,
            capture_output=True,
            user=user,
            env=environment,
            cwd=folder,
        )
        settings = ["-c", "listen_addresses=", "-c", "fsync=off"]
        running = subprocess.Popen(
            [postgres, "-D", folder / "data", "-k", folder, *settings],
            user=user,
            env=environment,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_until_it_answers(folder, running)
            yield folder
        finally:
            # Its fast way to stop, which does not wait for the connections that tests left open.
            running.send_signal(signal.SIGINT)
            running.wait(timeout=30)


def _wait_until_it_answers(folder: Path, running: "subprocess.Popen[bytes]") -> None:
    pause = threading.Event()
    while running.poll() is None:
        try:
            psycopg.connect(_url(folder, "postgres")).close()
        except psycopg.OperationalError:
            pause.wait(0.05)
        else:
            return
    raise AssertionError("PostgreSQL ended before it answered")


def _url(server: Path, database: str) -> str:
    return f"postgresql:///{database}?host={server}&user=trunkline"


@pytest.fixture(scope="module")
def loaded(server: Path) -> str:
    """The URL of a database into which an operator has put the sample."""
    return _created(server, "loaded", "workers.pools.property")


@pytest.fixture
def empty(server: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    yield _created(server, "empty", None)
    with psycopg.connect(_url(server, "postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE empty WITH (FORCE)")


def _created(server: Path, name: str, module: str | None) -> str:
    with psycopg.connect(_url(server, "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = _url(server, name)
    for _ in range(2 if module else 0):
        # Twice, since it must do no harm.
        subprocess.run([sys.executable, "-m", str(module)], check=True, env=_environment(url))
    return url


def _environment(url: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TRUNKLINE_PROPERTY_DATABASE_URL": url,
        "TRUNKLINE_NOTIFY_DATABASE_URL": url,
    }


@pytest.fixture
def on_postgresql(loaded: str) -> Listings:
    return open_listings(PropertySettings(database_url=SecretStr(loaded)))


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Listings:
    return open_listings(PropertySettings(data_dir=tmp_path_factory.mktemp("data")))


# The same answers


@pytest.mark.parametrize(
    "location",
    ["Austin, TX", "Portland", "New York", "Texas", "78701", "saint louis", "Seatle", "78799", "%", "'; --", "Cañon"],
)
def test_a_search_and_the_statistics_are_the_same(on_postgresql: Listings, on_sqlite: Listings, location: str) -> None:
    assert on_postgresql.stats(location) == on_sqlite.stats(location)
    assert _search_all(on_postgresql, location) == _search_all(on_sqlite, location)
    assert _search_some(on_postgresql, location) == _search_some(on_sqlite, location)


def _search_all(listings: Listings, location: str) -> PropertySearch:
    return listings.search(location, min_price=None, max_price=None, property_type=None, bedrooms=None, limit=50)


def _search_some(listings: Listings, location: str) -> PropertySearch:
    return listings.search(location, min_price=200_000.5, max_price=900_000, property_type="house", bedrooms=3, limit=5)


def test_one_listing_is_the_same(on_postgresql: Listings, on_sqlite: Listings) -> None:
    assert on_postgresql.details("austin-tx-007") == on_sqlite.details("austin-tx-007")
    with pytest.raises(LookupError):
        on_postgresql.details("nowhere")


def test_every_thread_has_a_connection_of_its_own(loaded: str) -> None:
    database = PostgresDatabase(loaded)
    backends: list[int] = []
    barrier = threading.Barrier(4)

    def ask() -> None:
        barrier.wait()
        backends.extend(database.run("SELECT pg_backend_pid() AS pid")[0]["pid"] for _ in range(3))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(backends) == 12
    assert len(set(backends)) == 4


# The outbox


def test_a_message_waits_in_the_outbox(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run([sys.executable, "-m", "workers.pools.notify"], check=True, env=_environment(empty))
    monkeypatch.setenv("TRUNKLINE_NOTIFY_DATABASE_URL", empty)
    notify._outbox.cache_clear()
    context = ToolContext.for_test()
    text = "100 % sure: it's :not_a_parameter; %(nor)s this \x00 or ü"
    queued = notify.send_message("email", "ada@example.com", text, context=context)
    notify.send_message("email", "ada@example.com", text, context=context)
    outbox = open_outbox()
    [row, _] = outbox.database.run("SELECT * FROM outbox ORDER BY created_at")
    assert row["id"] == queued.message_id
    assert "it's :not_a_parameter; %(nor)s this" in row["payload"]
    assert outbox.repeated_calls() == {context.call_id: 2}
    notify._outbox.cache_clear()


def test_a_table_that_is_missing_is_not_made_in_secret_but_reported(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_NOTIFY_DATABASE_URL", empty)
    notify._outbox.cache_clear()
    with pytest.raises(NotDone) as raised:
        notify.send_message("email", "ada@example.com", "hello", context=ToolContext.for_test())
    assert isinstance(raised.value.__cause__, DatabaseMisconfigured)
    with pytest.raises(DatabaseMisconfigured, match='relation "properties" does not exist'):
        open_listings(PropertySettings(database_url=SecretStr(empty))).stats("TX")
    notify._outbox.cache_clear()


# What goes wrong


def test_a_statement_that_fails_is_refused_and_the_connection_goes_on(loaded: str) -> None:
    database = PostgresDatabase(loaded)
    with pytest.raises(StatementRefused):
        database.run("SELECT 1 / 0")
    assert database.run("SELECT 1 AS one") == [{"one": 1}]


def test_a_transaction_that_fails_leaves_nothing(empty: str) -> None:
    database = PostgresDatabase(empty)
    database.run("CREATE TABLE facts (fact INTEGER PRIMARY KEY)")

    def add_one_twice() -> None:
        with database.transaction():
            database.run_many("INSERT INTO facts VALUES (:fact)", [{"fact": 1}, {"fact": 2}])
            database.run("INSERT INTO facts VALUES (:fact)", {"fact": 1})

    with pytest.raises(StatementRefused):
        add_one_twice()
    assert database.run("SELECT * FROM facts") == []


def test_a_connection_that_ends_before_the_answer_leaves_it_unknown_and_the_next_call_connects_anew(
    loaded: str,
) -> None:
    database = PostgresDatabase(loaded)
    with pytest.raises(AnswerLost):
        database.run("SELECT pg_terminate_backend(pg_backend_pid())")
    assert database.run("SELECT 1 AS one") == [{"one": 1}]


def test_a_connection_that_ended_while_it_was_idle_costs_no_call(loaded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.pools.database.postgresql._TRUSTED_FOR_S", 0.0)
    database = PostgresDatabase(loaded)
    pid = database.run("SELECT pg_backend_pid() AS pid")[0]["pid"]
    with psycopg.connect(loaded, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
    assert database.run("SELECT pg_backend_pid() AS pid")[0]["pid"] != pid


def test_a_server_that_is_away_is_not_reached(tmp_path: Path) -> None:
    with pytest.raises(DatabaseNotReached):
        PostgresDatabase(f"postgresql:///x?host={tmp_path}").run("SELECT 1")


def test_a_url_that_cannot_be_read_is_reported_without_its_password() -> None:
    with pytest.raises(DatabaseMisconfigured) as raised:
        PostgresDatabase("postgresql://user:s3cret@host:port/x?nonsense=1").run("SELECT 1")
    assert "s3cret" not in repr(raised.value)
    assert raised.value.__cause__ is None
