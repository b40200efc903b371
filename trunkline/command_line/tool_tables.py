"""Tables of tools and of their policies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from schemas.tool import ToolSpecification
from trunkline.command_line.output import Output
from trunkline.command_line.rendering import duration_text, one_line, plural

__all__ = ["ListedTool", "policies_table", "tool_as_json", "tools_table"]


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool of the catalogue or of a module."""

    specification: ToolSpecification
    is_alive: bool | None = None
    """Whether some living worker has it; None where nobody was asked."""

    @property
    def reference(self) -> str:
        """`name@version`."""
        return self.specification.reference


def tools_table(tools: Sequence[ListedTool], output: Output) -> Table:
    """A line for each tool."""
    table = output.table("tool", "pool", "effect", "worker", "~description")
    for tool in tools:
        it = tool.specification
        description = Text(one_line(it.description.split("\n\n")[0]))
        table.add_row(it.reference, it.pool, it.effect, _worker(tool), description)
    return table


def policies_table(tool: ListedTool, output: Output) -> Table:
    """Where a tool runs, and what holds around it."""
    it = tool.specification
    pauses = f", with pauses from {duration_text(it.backoff_ms * 1000)} to {duration_text(it.max_backoff_ms * 1000)}"
    table = output.facts()
    table.add_row("pool", it.pool)
    table.add_row("worker", _worker(tool))
    table.add_row("effect", it.effect)
    table.add_row("time limit", duration_text(it.timeout_ms * 1000))
    table.add_row("permissions", ", ".join(sorted(it.permissions)) or "none needed")
    table.add_row("tried", plural(it.max_attempts, "time") + (pauses if it.max_attempts > 1 else ""))
    table.add_row("results kept", "no" if it.cache_ms is None else f"for {duration_text(it.cache_ms * 1000)}")
    table.add_row("runs in", "a process of its own, as it computes" if it.cpu_bound else "its worker")
    return table


def tool_as_json(tool: ListedTool) -> dict[str, Any]:
    """A tool for programs: its specification, and `is_alive` where that is known."""
    alive = {} if tool.is_alive is None else {"is_alive": tool.is_alive}
    return {**tool.specification.model_dump(mode="json"), **alive}


def _worker(tool: ListedTool) -> Text:
    match tool.is_alive:
        case None:
            return Text("–", "dim")
        case True:
            return Text("alive", "green")
        case False:
            return Text("none", "red")
