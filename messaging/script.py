"""Loading Lua scripts from `.lua` files, with the fragments they include.

A line `-- include: <fragment>` in a script is replaced by `<fragment>.lua` from the `fragments` folder of its own
package or of this one, so that a key is spelled in one place. What a script does not use of its fragments is left out
again: Redis runs a script from its first line each time, and makes anew each function that it defines. Measured, that
was a third of what an acknowledgement cost there.

This module must not know what any script does.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)
#: In one line, or to the first `end` that is not indented.
_FUNCTION = re.compile(r"^local function (\w+)\b(?:.* end\n|.*\n(?:(?!end\n).*\n)*end\n)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script as Redis sees it."""

    name: str
    source: str
    sha: str
    """SHA-1 of the source, in hexadecimal: what EVALSHA calls it by."""


@cache
def load_script(package: str, name: str) -> Script:
    """Loads `<package>/lua/<name>.lua`.

    Raises:
        FileNotFoundError: There is no such script, or it includes a fragment that does not exist.
    """
    source = (files(package) / "lua" / f"{name}.lua").read_text("utf-8")
    source = without_unused(_INCLUDE.sub(lambda match: _fragment(package, match[1]), source))
    return Script(name=name, source=source, sha=hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _fragment(package: str, name: str) -> str:
    for owner in (package, "messaging"):
        file = files(owner) / "lua" / "fragments" / f"{name}.lua"
        if file.is_file():
            return file.read_text("utf-8")
    raise FileNotFoundError(
        f"the Lua fragment {name!r} is neither in {package}/lua/fragments nor in messaging/lua/fragments"
    )


def without_unused(source: str) -> str:
    """Leaves out comments, and functions that nobody in the script calls."""
    source = _COMMENT.sub("", source)
    while unused := [function for function in _FUNCTION.finditer(source) if not _is_used(function, source)]:
        for function in reversed(unused):
            source = source[: function.start()] + source[function.end() :]
    return source


def _is_used(function: re.Match[str], source: str) -> bool:
    name = re.compile(rf"\b{function[1]}\b")
    return name.search(source, 0, function.start()) is not None or name.search(source, function.end()) is not None
