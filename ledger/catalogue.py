"""The catalogue: the tools that living pools have published."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from messaging.command import Command, Word, whole
from messaging.script import load_script
from schemas.tool import ToolSpecification

#: How often a worker publishes its tools.
PUBLISH_INTERVAL = timedelta(seconds=2)
#: A tool that no worker has published for this long has no living worker.
ALIVE_FOR = timedelta(seconds=8)


@dataclass(frozen=True, slots=True)
class PublishedTool:
    """A tool of the catalogue."""

    specification: ToolSpecification
    is_alive: bool
    """Whether some living worker has it."""


def publish_tools(tools: Iterable[ToolSpecification]) -> Command[int]:
    """Says which tools a living worker has; answers how many were new."""
    words: list[Word] = []
    for tool in tools:
        words += (tool.reference, tool.model_dump_json())
    return Command(load_script("ledger", "publish_tools"), words, whole)


def read_catalogue() -> Command[Sequence[PublishedTool]]:
    """Every tool that a worker has had within a day. Those in a form that this process cannot read are left out."""

    def decode(answer: list[Any]) -> Sequence[PublishedTool]:
        alive_since_ms = int(answer[0]) - ALIVE_FOR / timedelta(milliseconds=1)
        tools = []
        for i in range(1, len(answer), 2):
            try:
                specification = ToolSpecification.model_validate_json(answer[i])
            except ValueError:
                continue  # of a newer version, during an upgrade
            tools.append(PublishedTool(specification, is_alive=float(answer[i + 1]) >= alive_since_ms))
        return tools

    return Command(load_script("ledger", "read_catalogue"), (), decode)
