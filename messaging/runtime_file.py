"""The file by which other processes of this user find the embedded Redis that is running.

It has the server's URL, with its password if it has one, so it is private. It can be left behind by a crash; whoever
reads it checks what it says. This module knows nothing of how the server is started.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import redis
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from redis.backoff import NoBackoff
from redis.retry import Retry

from messaging.data_folder import make_private, process_exists, write_private

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
        DataFolderUnsafe: The folder cannot be made private.
    """
    make_private(runtime_dir, setting="TRUNKLINE_RUNTIME_DIR")
    server = RunningServer(url=url, pid=pid, started_at=datetime.now(UTC))
    write_private(runtime_dir / _FILE, server.model_dump_json() + "\n")


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
        return RunningServer.model_validate_json((runtime_dir / _FILE).read_bytes())
    except (OSError, ValidationError):  # absent, not for us, or not written by us
        return None
