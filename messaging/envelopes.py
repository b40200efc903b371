"""Reading what a message of ours carries, and what to do with one that cannot be read.

A message of a newer version is left for processes that read it, as long as one lives; anything else that does not fit
is a dead letter, and whoever waits for its work is told.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import structlog
from pydantic import ValidationError

from messaging import queue_commands
from messaging.command import Command
from messaging.command_runner import AsyncCommandRunner
from messaging.delivery import Delivery
from messaging.script import load_script
from schemas.envelope import version_of
from schemas.wire import SCHEMA_VERSION, WireModel

M = TypeVar("M", bound=WireModel)

#: A message for newer processes is looked at again after this long, in case this one was the first to meet it.
_LEFT_FOR_NEWER_MS: Final = 1000

_log = structlog.get_logger(__name__)


async def open_envelope(
    model: type[M],
    kwargs: Mapping[str, Any],
    *,
    delivery: Delivery,
    runner: AsyncCommandRunner,
    notice: queue_commands.Notice | None,
) -> M | None:
    """The envelope in an actor's arguments; None if it cannot be read, and then its message is settled."""
    try:
        return model.model_validate(kwargs)
    except ValidationError as error:
        version = version_of(dict(kwargs))
        if version is not None and version > SCHEMA_VERSION and await _somebody_reads(version, delivery.queue, runner):
            _log.info("left a message for newer processes", message=delivery.id, version=version)
            command = queue_commands.settle([delivery], "postpone", _LEFT_FOR_NEWER_MS)
        else:
            reason = describe(error)
            _log.error("a message that does not fit is a dead letter now", message=delivery.id, error=reason)
            command = queue_commands.bury(delivery, reason="unreadable", error=reason, notice=notice)
        await runner.run(command)
        delivery.settled = True
        return None


def describe(error: ValidationError) -> str:
    """What is wrong with the fields of a message, one after the other, without the values that were given."""
    problems = []
    for problem in error.errors(include_url=False, include_input=False):
        path = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        problems.append(f"{path}: {message}" if path else message)
    return "; ".join(problems[:10])


async def _somebody_reads(version: int, queue: str, runner: AsyncCommandRunner) -> bool:
    return any(
        worker.get("reads", 0) >= version and queue in worker.get("queues", ())
        for worker in await runner.run(living_workers())
    )


def living_workers() -> Command[list[dict[str, Any]]]:
    """What the living workers said of themselves; with `held`, the number of messages they hold, and `silent_ms`."""

    def decode(answer: list[Any]) -> list[dict[str, Any]]:
        return [
            {**json.loads(answer[i]), "held": answer[i + 1], "silent_ms": answer[i + 2]}
            for i in range(0, len(answer), 3)
        ]

    return Command(load_script("messaging", "living_workers"), (), decode)
