"""What goes wrong in a command, as an exit code and a paragraph for people.

CommandFailed
├── BadInput             2   whoever typed it: what was typed does not fit
├── JobDidNotComplete    1   whoever reads the answer: the job failed, was cancelled or expired
├── NotFound             4   whoever typed it: there is no such thing
└── DeploymentFailed     3   the operator: a process does not start, or Redis is not fit

Errors of other packages are translated here, in one place.
"""

from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "BadInput",
    "CommandFailed",
    "DeploymentFailed",
    "ExitCode",
    "Failure",
    "JobDidNotComplete",
    "NotFound",
    "explain",
]


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    JOB_NOT_COMPLETED = 1
    BAD_INPUT = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    OUR_FAULT = 70
    """`EX_SOFTWARE` of sysexits.h."""
    INTERRUPTED = 130
    """As shells have it: 128 and the number of SIGINT."""
    OUTPUT_CLOSED = 141
    """Likewise of SIGPIPE."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is told of an error."""

    exit_code: ExitCode
    code: str
    """Stable, for programs."""
    message: str
    """For people."""


class CommandFailed(Exception):
    """The root of what commands raise."""

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, code: str, message: str) -> None:
        """Takes a stable code for programs and a paragraph for people."""
        super().__init__(message)
        self.code = code


class BadInput(CommandFailed):
    """What was typed does not fit."""


class JobDidNotComplete(CommandFailed):
    """The job failed, was cancelled or expired."""

    exit_code = ExitCode.JOB_NOT_COMPLETED


class NotFound(CommandFailed):
    """There is no such thing."""

    exit_code = ExitCode.NOT_FOUND


class DeploymentFailed(CommandFailed):
    """Processes on this machine do not start, or Redis is not fit for them."""

    exit_code = ExitCode.UNREACHABLE


def explain(error: Exception) -> Failure | None:
    """What to tell of an error; None if it is a fault of ours."""
    # Whatever raised it has been imported already; a command line that is right never gets here.
    from redis.exceptions import RedisError

    from messaging.errors import InvalidLimit, InvalidRedisUrl, InvalidSettings, OperatorError
    from messaging.redaction import redact
    from trunkline.errors import JobRefused, JobUnknown
    from workers.errors import ToolDeclarationError, ToolLoadingError

    match error:
        case CommandFailed():
            return Failure(error.exit_code, error.code, str(error))
        case JobRefused():
            return Failure(ExitCode.BAD_INPUT, error.code, str(error))
        case JobUnknown():
            return Failure(ExitCode.NOT_FOUND, "job_unknown", str(error))
        case InvalidLimit():
            return Failure(ExitCode.BAD_INPUT, "limit", str(error))
        case InvalidSettings() | InvalidRedisUrl():
            return Failure(ExitCode.BAD_INPUT, "settings", str(error))
        case OperatorError():
            return Failure(ExitCode.UNREACHABLE, "unreachable", str(error))
        case ToolLoadingError() | ToolDeclarationError():
            return Failure(ExitCode.BAD_INPUT, "tools", str(error))
        case RedisError():
            message = (
                f"Redis refused a command: {redact(str(error))}; `trunkline up` starts a Redis that is set up right"
            )
            return Failure(ExitCode.UNREACHABLE, "redis_refused", message)
        case _:
            return None
