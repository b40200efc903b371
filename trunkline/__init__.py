"""What users import and type.

`Client` and `AsyncClient` hand in chat jobs and follow them; `tool`, `ToolContext` and `Progress` declare tools;
`ChatJob` and its neighbours say what crosses the wire. Everything is imported when it is first asked for: a worker that
declares tools pays neither for the client nor for the command line.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas.caller import Caller
    from schemas.chat_job import ChatJob, JobLimits, ModelParameters, ReplyAddress
    from schemas.job_result import JobResult
    from trunkline.client import AsyncClient, Client
    from trunkline.errors import JobRefused, JobUnknown, TrunklineError
    from workers.context import Progress, ToolContext
    from workers.errors import ArgumentsRejected, NotDone, ToolFailed
    from workers.tool import Retries, tool

_HOME = {
    "ArgumentsRejected": "workers.errors",
    "AsyncClient": "trunkline.client",
    "Caller": "schemas.caller",
    "ChatJob": "schemas.chat_job",
    "Client": "trunkline.client",
    "JobLimits": "schemas.chat_job",
    "JobRefused": "trunkline.errors",
    "JobResult": "schemas.job_result",
    "JobUnknown": "trunkline.errors",
    "ModelParameters": "schemas.chat_job",
    "NotDone": "workers.errors",
    "Progress": "workers.context",
    "ReplyAddress": "schemas.chat_job",
    "Retries": "workers.tool",
    "ToolContext": "workers.context",
    "ToolFailed": "workers.errors",
    "TrunklineError": "trunkline.errors",
    "tool": "workers.tool",
}

__all__ = [
    "ArgumentsRejected",
    "AsyncClient",
    "Caller",
    "ChatJob",
    "Client",
    "JobLimits",
    "JobRefused",
    "JobResult",
    "JobUnknown",
    "ModelParameters",
    "NotDone",
    "Progress",
    "ReplyAddress",
    "Retries",
    "ToolContext",
    "ToolFailed",
    "TrunklineError",
    "tool",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'trunkline' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return __all__
