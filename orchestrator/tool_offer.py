"""Which tools a turn offers the model: what the job allows, of what the catalogue has. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ledger.catalogue import PublishedTool
from schemas.tool import ToolSpecification


@dataclass(frozen=True, slots=True)
class ToolOffer:
    """The tools of a turn."""

    tools: Sequence[ToolSpecification] = ()
    """By name, one version each."""
    without_worker: frozenset[str] = frozenset()
    """References of offered tools whose pool has no living worker."""
    missing: Sequence[str] = ()
    """Patterns that match no tool that anybody has published."""

    def find(self, name: str) -> ToolSpecification | None:
        """The offered tool that the model calls by `name`."""
        return next((tool for tool in self.tools if tool.name == name), None)


def offer_tools(patterns: Sequence[str], catalogue: Sequence[PublishedTool]) -> ToolOffer:
    """Picks the tools that `patterns` allow.

    Of several versions of a name the newest living one is offered, else the newest. A tool without a living worker is
    offered only where the job names it; a pattern such as `*` means those that live.
    """
    chosen: dict[str, PublishedTool] = {}
    missing = []
    for pattern in patterns:
        matching = [tool for tool in catalogue if _matches(pattern, tool.specification)]
        if _is_wildcard(pattern):
            matching = [tool for tool in matching if tool.is_alive]
        if not matching and pattern != "*":
            missing.append(pattern)
        for tool in matching:
            best = chosen.get(tool.specification.name)
            if best is None or _preference(tool) > _preference(best):
                chosen[tool.specification.name] = tool
    return ToolOffer(
        tools=[chosen[name].specification for name in sorted(chosen)],
        without_worker=frozenset(t.specification.reference for t in chosen.values() if not t.is_alive),
        missing=missing,
    )


def _is_wildcard(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")


def _matches(pattern: str, tool: ToolSpecification) -> bool:
    name, _, version = pattern.partition("@")
    return fnmatchcase(tool.name, name) and (not version or fnmatchcase(tool.version, version))


def _preference(tool: PublishedTool) -> tuple[bool, tuple[int, ...], bool, str]:
    """Living before dead, then by semantic version; a pre-release comes before its release (semver.org, 11)."""
    release, _, pre_release = tool.specification.version.partition("+")[0].partition("-")
    numbers = tuple(int(part) for part in re.findall(r"\d+", release))
    return tool.is_alive, numbers, not pre_release, pre_release
