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
_WORD = re.compile(r"\w+")


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
    """Leaves out comments, and functions that nothing in the script leads to."""
    source = _COMMENT.sub("", source)
    functions = list(_FUNCTION.finditer(source))
    wanted = set(_WORD.findall(_FUNCTION.sub("", source)))
    kept: set[re.Match[str]] = set()
    while reached := [one for one in functions if one not in kept and one[1] in wanted]:
        kept.update(reached)
        wanted.update(word for one in reached for word in _WORD.findall(one[0]))
    return _FUNCTION.sub(lambda one: one[0] if one[1] in wanted else "", source)
