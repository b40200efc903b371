"""The file by which other processes of this user find the embedded Redis that is running.

It has the server's URL, with its password if it has one, so it is private. It can be left behind by a crash; whoever
reads it checks what it says. This module knows nothing of how the server is started.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import redis
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from redis.backoff import NoBackoff
from redis.retry import Retry

from messaging.embedded.data_folder import process_exists, write_private
from messaging.errors import DataFolderUnsafe

__all__ = ["RunningServer", "find_running", "publish", "withdraw"]

_FILE: Final = "embedded-redis.json"
_ANSWER_TIMEOUT_S: Final = 2.0


class RunningServer(BaseModel):
    """What the file says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(repr=False)
    """With its password."""
    pid: int
    """The server's own process."""
    started_at: datetime


def publish(runtime_dir: Path, *, url: str, pid: int) -> None:
    """Writes the file, over one that is there.

    Raises:
        DataFolderUnsafe: It cannot be written there.
    """
    server = RunningServer(url=url, pid=pid, started_at=datetime.now(UTC))
    try:
        runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(runtime_dir / _FILE, server.model_dump_json() + "\n")
    except OSError as error:
        raise DataFolderUnsafe(
            f"cannot write to {runtime_dir}: {error.strerror}; set TRUNKLINE_RUNTIME_DIR to another folder"
        ) from error


def withdraw(runtime_dir: Path, *, pid: int) -> None:
    """Removes the file if it speaks of this server, and not of a later one."""
    server = _read(runtime_dir)
    if server is not None and server.pid == pid:
        (runtime_dir / _FILE).unlink(missing_ok=True)


def find_running(runtime_dir: Path) -> str | None:
    """Returns the URL of the embedded Redis that is running, or None.

    None also if the file was left behind: its process is dead, or no Redis answers there.
    """
    server = _read(runtime_dir)
    if server is None or not process_exists(server.pid):
        return None
    try:
        with redis.Redis.from_url(
            server.url,
            socket_timeout=_ANSWER_TIMEOUT_S,
            socket_connect_timeout=_ANSWER_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.ping()
    except redis.BusyLoadingError:  # it has been started again and reads its file
        return server.url
    except redis.RedisError:
        return None
    return server.url


def _read(runtime_dir: Path) -> RunningServer | None:
    try:
        with (runtime_dir / _FILE).open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or status.st_mode & 0o077:
                return None  # in a folder that is open to others, they may have put it there
            return RunningServer.model_validate_json(file.read())
    except (OSError, ValidationError):  # absent, or not written by us
        return None
