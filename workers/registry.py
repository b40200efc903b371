"""The tools of this process: from modules that were named, from installed packages, and the pools that are shipped.

This module must not know what is done with a tool.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import workers.pools
from workers.errors import ToolLoadingError
from workers.tool import Tool
from workers.tool_modules import import_tools, loading

__all__ = ["ENTRY_POINT_GROUP", "ToolRegistry", "shipped_pools"]

ENTRY_POINT_GROUP: Final = "trunkline.tools"
"""Under this group an installed package lists its modules with tools, or single tools."""

AnyTool = Tool[..., Any]


class ToolRegistry:
    """Tools by reference and by pool. It does not change once it is built."""

    def __init__(self, found: Iterable[tuple[AnyTool, str]]) -> None:
        """Take tools, each with where it was loaded from. One tool may be found in several places.

        Raises:
            ToolLoadingError: two different tools have the same name and version.
        """
        self._tools: dict[str, AnyTool] = {}
        self._sources: dict[str, str] = {}
        for tool, source in found:
            other = self._tools.setdefault(tool.reference, tool)
            self._sources.setdefault(tool.reference, source)
            if other is not tool:
                raise ToolLoadingError(
                    f"Two tools are called {tool.reference}: {other.declared_at}, "
                    f"loaded from {self._sources[tool.reference]}, and {tool.declared_at}, loaded from {source}. "
                    "Rename one or raise its version."
                )

    @classmethod
    def load(
        cls,
        *,
        modules: Sequence[str] = (),
        pools: Collection[str] | None = None,
        installed: Iterable[EntryPoint] | None = None,
    ) -> "ToolRegistry":
        """Import tools from everywhere they may be.

        Args:
            modules: Modules with tools, by name (`pkg.tools`) or path (`./my_tools.py`).
            pools: The pools that are wanted, each of which must then have a tool. Shipped pools are imported only if
                they are wanted, and only if none of the other sources has a tool of that pool: a pool of your own
                takes the place of the shipped one. None is all of them.
            installed: Entry points of other packages; by default those of the group `trunkline.tools`.

        Raises:
            ToolLoadingError: a module is missing, fails, or has no tool; two tools clash; or a pool has none.
            ToolDeclarationError: a tool is declared wrongly.
        """
        found = [pair for module in modules for pair in _from_module(module)]
        for entry_point in entry_points(group=ENTRY_POINT_GROUP) if installed is None else installed:
            found.extend(_from_entry_point(entry_point))
        taken = {tool.pool for tool, _ in found}
        for pool, module in shipped_pools().items():
            if pool not in taken and (pools is None or pool in pools):
                found.extend(_from_shipped(module))
        registry = cls(found)
        for pool in () if pools is None else sorted(pools):
            if not registry.for_pool(pool):
                raise ToolLoadingError(_no_such_pool(pool, registry))
        return registry

    def pools(self) -> tuple[str, ...]:
        """The pools that have a tool here, sorted."""
        return tuple(sorted({tool.pool for tool in self._tools.values()}))

    def for_pool(self, pool: str) -> tuple[AnyTool, ...]:
        """The tools of a pool, sorted by reference; none if there is no such pool."""
        return tuple(tool for _, tool in sorted(self._tools.items()) if tool.pool == pool)

    def get(self, reference: str) -> AnyTool | None:
        """The tool called `name@version`, or None."""
        return self._tools.get(reference)

    def loaded_from(self, reference: str) -> str:
        """Where the tool called `name@version` came from, for messages."""
        return self._sources[reference]


def shipped_pools() -> dict[str, str]:
    """The pools that come with Trunkline, each with the module of its tools; nothing is imported.

    A pool is `workers/pools/<pool>.py` or, if it takes more than a file, `workers/pools/<pool>/tools.py`.
    """
    found: dict[str, str] = {}
    for folder in map(Path, workers.pools.__path__):
        for file in (*folder.glob("[!_]*.py"), *folder.glob("[!_]*/tools.py")):
            pool = file.stem if file.parent == folder else file.parent.name
            found[pool] = ".".join(["workers.pools", *file.relative_to(folder).with_suffix("").parts])
    return dict(sorted(found.items()))


def _from_module(name_or_path: str) -> list[tuple[AnyTool, str]]:
    module = import_tools(name_or_path)
    tools = _tools_in(module)
    if not tools:
        raise ToolLoadingError(
            f"{name_or_path} ({module.__file__}) has no tool. Decorate a function at its top level with @tool(pool=…)."
        )
    return [(tool, f"module {name_or_path}") for tool in tools]


def _from_shipped(module: str) -> list[tuple[AnyTool, str]]:
    imported = loading(lambda: import_module(module), name=module, what=module)
    return [(tool, f"shipped module {module}") for tool in _tools_in(imported)]


def _from_entry_point(entry_point: EntryPoint) -> Iterator[tuple[AnyTool, str]]:
    package = f" of package {entry_point.dist.name}" if entry_point.dist is not None else ""
    what = f"entry point {entry_point.name} = {entry_point.value}{package}"
    loaded = loading(entry_point.load, name=entry_point.module, what=what)
    tools = [loaded] if isinstance(loaded, Tool) else _tools_in(loaded) if isinstance(loaded, ModuleType) else []
    if not tools:
        raise ToolLoadingError(f"The {what} is neither a tool nor a module with tools.")
    for tool in tools:
        yield tool, what


def _tools_in(module: ModuleType) -> list[AnyTool]:
    """The tools at the top level of a module, those it imported included."""
    return list(dict.fromkeys(value for value in vars(module).values() if isinstance(value, Tool)))


def _no_such_pool(pool: str, registry: ToolRegistry) -> str:
    there = ", ".join(sorted({*registry.pools(), *shipped_pools()}))
    return (
        f"No tool of the pool {pool!r} was found; there are tools of: {there}. "
        f"Name the module that declares its tools, or check `pool=` in their @tool(...)."
    )
