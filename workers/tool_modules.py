"""Finding and importing the modules that tools are declared in, with messages for whoever named them.

A module is named as Python does (`pkg.tools`) or by its path (`./my_tools.py`). This module must not know tools beyond
the errors of their declaration.
"""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

from workers.errors import ToolDeclarationError, ToolLoadingError

__all__ = ["import_tools", "loading"]

T = TypeVar("T")

_HOME: Final = Path(__file__).resolve().parent.parent


def import_tools(name_or_path: str) -> ModuleType:
    """Import the module that is meant, by name or by path.

    The current folder, or the folder of the file, becomes importable too; but it comes last, so that no file in it
    takes the place of an installed module.

    Raises:
        ToolLoadingError: it is not there, its name is taken by another module, or its own code fails.
        ToolDeclarationError: a tool in it is declared wrongly.
    """
    if name_or_path.endswith(".py") or "/" in name_or_path or "\\" in name_or_path:
        return _import_path(Path(name_or_path))
    if not all(part.isidentifier() for part in name_or_path.split(".")):
        raise ToolLoadingError(
            f"{name_or_path!r} is no name of a module. Name it as in `import`, as my_tools or pkg.tools, "
            "or give the path of its file, as ./my_tools.py."
        )
    _make_importable(Path.cwd())
    return loading(lambda: importlib.import_module(name_or_path), name=name_or_path, what=name_or_path)


def loading(load: Callable[[], T], *, name: str, what: str) -> T:
    """Run an import of code that is not ours, and say of what goes wrong whose fault it is.

    Args:
        load: The import.
        name: The module that it imports.
        what: How to call it in a message.

    Raises:
        ToolLoadingError: there is no such module, or its own code fails.
        ToolDeclarationError: a tool in it is declared wrongly.
    """
    try:
        return load()
    except (ToolDeclarationError, ToolLoadingError):
        raise
    except (Exception, SystemExit) as error:  # whatever a module of the user's does when it is imported
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            folders = "\n".join(f"  {folder}" for folder in dict.fromkeys(map(_absolute, sys.path)))
            raise ToolLoadingError(f"There is no module {error.name!r} for {what}. Looked for in\n{folders}") from error
        raise ToolLoadingError(
            f"{what} cannot be imported: its own code raised {type(error).__name__}: {error} ({_place(error)})."
            + _hint(error)
        ) from error


def _import_path(path: Path) -> ModuleType:
    file = path.resolve()
    if file.is_dir() and (file / "__init__.py").is_file():
        file = file / "__init__.py"
    if not file.is_file():
        kind = "has no __init__.py" if file.is_dir() else "does not exist"
        raise ToolLoadingError(f"{path} {kind}. Looked for {file}; the current folder is {Path.cwd()}.")
    if file.suffix != ".py":
        raise ToolLoadingError(f"{path} is no Python file: its name does not end in .py.")
    folder, parts = file.parent, [] if file.stem == "__init__" else [file.stem]
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    name = ".".join(parts)
    _make_importable(folder)

    def load() -> ModuleType:
        spec = importlib.util.find_spec(name)
        origin = spec.origin if spec is not None else None
        if origin is None or not Path(origin).is_file() or not file.samefile(origin):
            raise ToolLoadingError(
                f"{path} cannot be imported: its name, {name!r}, is that of another module, "
                f"{origin or 'which has no file'}. Rename {file}."
            )
        return importlib.import_module(name)

    return loading(load, name=name, what=str(path))


def _make_importable(folder: Path) -> None:
    importlib.invalidate_caches()
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _absolute(folder: str) -> str:
    return str(Path(folder).absolute())


def _place(error: BaseException) -> str:
    """Where it happened, as `file:line`: the last place that is not in Python's own importing."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    every = traceback.extract_tb(error.__traceback__)
    last = next((frame for frame in reversed(every) if "importlib" not in frame.filename), every[-1])
    return f"{last.filename}:{last.lineno}"


def _hint(error: BaseException) -> str:
    """If the import that failed went to one of our packages, a package of the user's by that name is likely meant."""
    package = error.name.partition(".")[0] if isinstance(error, ImportError) and error.name else ""
    if not package or not (_HOME / package / "__init__.py").is_file():
        return ""
    return f" {package!r} is Trunkline's own package, at {_HOME / package}; if you mean one of yours, rename it."
