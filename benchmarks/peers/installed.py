"""Puts what a peer needs below `.bench/`, once for each list of packages: a peer is no dependency of ours."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_CACHE: Final = _HERE.parent.parent / ".bench"
_PATIENCE_S: Final = 600.0
_TAIL: Final = 400


class PeerUnavailable(Exception):
    """A peer cannot be installed or started on this machine; its text says why."""


def python_with(requirements: str) -> Path:
    """The Python of a virtual environment with what a file `requirements-<name>.txt` of this folder lists.

    Raises:
        PeerUnavailable: It cannot be installed.
    """
    listed = _HERE / f"requirements-{requirements}.txt"
    folder = _folder(requirements, listed.read_bytes() + sys.version.encode())
    python = folder / "bin" / "python"
    if not _is_complete(folder):
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "--disable-pip-version-check", "--requirement", str(listed)])
        _complete(folder)
    return python


def npm_program(package: str, name: str) -> Path:
    """A program of an npm package that `package.json` of this folder lists.

    Raises:
        PeerUnavailable: It cannot be installed.
    """
    listed = _HERE / "package.json"
    folder = _folder("npm", listed.read_bytes())
    if not _is_complete(folder):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(listed, folder)
        _run([_program("npm"), "install", "--prefix", str(folder), "--no-audit", "--no-fund"])
        _complete(folder)
    found = sorted((folder / "node_modules").glob(f"{package}/bin/{name}"))
    if not found:
        raise PeerUnavailable(f"the npm package {package} has no program {name} for this platform")
    return found[0]


def system_program(name: str, places: Sequence[str] = (), *, package: str) -> Path:
    """A program that the system's package manager installs.

    Raises:
        PeerUnavailable: It is not installed.
    """
    found = [path for place in places for path in sorted(Path("/").glob(f"{place.lstrip('/')}/{name}"), reverse=True)]
    where = found[0] if found else shutil.which(name)
    if where is None:
        raise PeerUnavailable(f"there is no program {name} on this machine; install the system's package {package}")
    return Path(where)


def _program(name: str) -> str:
    return str(system_program(name, package=name))


def _folder(name: str, listed: bytes) -> Path:
    return _CACHE / f"{name}-{hashlib.sha256(listed).hexdigest()[:8]}"


def _is_complete(folder: Path) -> bool:
    return (folder / ".complete").exists()


def _complete(folder: Path) -> None:
    (folder / ".complete").touch()


def _run(command: Sequence[str]) -> None:
    said = f"`{' '.join(Path(word).name for word in command)}`"
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerUnavailable(f"{said}: {error}") from error
    if done.returncode != 0:
        raise PeerUnavailable(f"{said}: {(done.stderr or done.stdout)[-_TAIL:].decode(errors='replace').strip()}")
