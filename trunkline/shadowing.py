"""Notices when a module of the user's stands before one of our top-level packages.

Our packages have plain names, and a folder called `workers` is not rare. Without this check the first sign would be an
ImportError out of the middle of our code. So this module must not import anything of ours, nor of anybody else's.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["ShadowedPackage", "shadowed_packages", "shadowing_message"]

_PACKAGES: Final = ("schemas", "messaging", "ledger", "orchestrator", "workers", "telemetry", "trunkline")


class ShadowedPackage(NamedTuple):
    """Two modules of one name."""

    package: str
    ours: Path
    """The package's folder in this installation."""
    theirs: Path
    """The file or folder that Python would import instead."""


def shadowed_packages(search_path: Sequence[Path]) -> list[ShadowedPackage]:
    """Find our packages that an import would not find, because another module comes first.

    Args:
        search_path: The folders that Python looks through, in that order: `sys.path`. An empty one is the current
            folder. Given one folder only, it tells what in it bears a name of ours.

    Returns:
        The shadowed packages. A folder without `__init__.py` shadows nothing, as Python passes it over.
    """
    home = Path(__file__).resolve().parent.parent
    found: list[ShadowedPackage] = []
    for package in _PACKAGES:
        ours = home / package
        theirs = next(filter(None, (_module(folder, package) for folder in search_path)), None)
        if theirs is not None and theirs != ours and ours.is_dir():
            found.append(ShadowedPackage(package, ours, theirs))
    return found


def shadowing_message(shadowed: Sequence[ShadowedPackage]) -> str:
    """Say which modules stand before which packages of ours, by their paths, and what to do."""
    lines = [f"  {package}: {theirs} hides Trunkline's own {ours}" for package, ours, theirs in shadowed]
    return "\n".join(
        [
            "Modules of yours have the names of Trunkline's packages, so Python would import the wrong ones:",
            *lines,
            "Rename yours, or start Trunkline from another folder and without that one in PYTHONPATH.",
        ]
    )


def _module(folder: Path, name: str) -> Path | None:
    """What `import name` finds in this folder: a package before a module, as in Python."""
    if (folder / name / "__init__.py").is_file():
        return (folder / name).resolve()
    file = folder / f"{name}.py"
    return file.resolve() if file.is_file() else None
