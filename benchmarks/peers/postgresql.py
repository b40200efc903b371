"""A PostgreSQL server of our own for the peers that want one: the system's programs, a fresh database, a loopback port.

Every setting is the server's default (a commit is on the disk before it is answered), but for the place it listens on.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psycopg

from benchmarks.peers.installed import PeerUnavailable, system_program
from messaging.processes.die_with_parent import guarded_command

_PLACES: Final = ("/usr/lib/postgresql/*/bin",)
_PACKAGE: Final = "postgresql"
_START_PATIENCE_S: Final = 30.0
_STOP_PATIENCE_S: Final = 20.0
_LOOK_AGAIN_S: Final = 0.05


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class PostgresServer:
    """The server, from start to end of a `with` block; its files are in a folder of their own.

    Raises:
        PeerUnavailable: Its programs are not there, or it does not start.
    """

    def __init__(self) -> None:
        self._initdb, self._postgres = (
            str(system_program(name, _PLACES, package=_PACKAGE)) for name in ("initdb", "postgres")
        )
        self._port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"
        self._environment = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}

    def __enter__(self) -> Self:
        self._temporary = tempfile.TemporaryDirectory(prefix="peers-postgres-", ignore_cleanup_errors=True)
        self._folder = Path(self._temporary.name)
        data = str(self._folder / "data")
        as_user = self._as_user()
        makes = [self._initdb, "--pgdata", data, "--auth=trust", "--username=postgres", "--encoding=UTF8"]
        made = subprocess.run([*as_user, *makes], capture_output=True, env=self._environment, cwd="/", check=False)
        if made.returncode != 0:
            raise PeerUnavailable(f"initdb: {made.stderr.decode(errors='replace').strip()}")
        listens = ["-p", str(self._port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        command = [*as_user, self._postgres, "-D", data, *listens]
        with (self._folder / "postgres.log").open("wb") as log:
            self._process = subprocess.Popen(
                # The kernel's way to watch a parent ends where a process changes its user.
                guarded_command(command, parent=os.getpid(), way="watch"),
                env=self._environment,
                cwd="/",
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._wait_until_it_answers()
        return self

    def _as_user(self) -> list[str]:
        """What to put before a command: PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return []
        nobody = pwd.getpwnam("nobody")
        shutil.chown(self._folder, nobody.pw_uid)
        setpriv = str(system_program("setpriv", package="util-linux"))
        return [setpriv, f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--"]

    def _wait_until_it_answers(self) -> None:
        give_up_at = time.monotonic() + _START_PATIENCE_S
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > give_up_at:
                    self._stop()
                    log = (self._folder / "postgres.log").read_text("utf-8", errors="replace")
                    raise PeerUnavailable(f"PostgreSQL does not answer: {error}\n{log}") from error
                time.sleep(_LOOK_AGAIN_S)
            else:
                return

    def wait_for_rows(self, table: str, rows: int) -> None:
        """Until somebody has made a table and put so many rows in.

        Raises:
            PeerUnavailable: Nobody has.
        """
        give_up_at = time.monotonic() + _START_PATIENCE_S
        with psycopg.connect(self.url, autocommit=True) as connection:
            while True:
                with suppress(psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                    counted = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
                    if counted and counted[0] >= rows:
                        return
                if time.monotonic() > give_up_at:
                    raise PeerUnavailable(f"there are no {rows} rows in the table {table}")
                time.sleep(_LOOK_AGAIN_S)

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._temporary.cleanup()
