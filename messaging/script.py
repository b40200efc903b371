"""Loading Lua scripts from `.lua` files, with the fragments they include.

A line `-- include: <fragment>` in a script is replaced by `<fragment>.lua` from the `fragments` folder of its own
package or of this one, so that a key is spelled in one place. This module must not know what any script does.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


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
    source = _INCLUDE.sub(lambda match: _fragment(package, match[1]), source)
    return Script(name=name, source=source, sha=hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _fragment(package: str, name: str) -> str:
    for owner in (package, "messaging"):
        file = files(owner) / "lua" / "fragments" / f"{name}.lua"
        if file.is_file():
            return file.read_text("utf-8")
    raise FileNotFoundError(
        f"the Lua fragment {name!r} is neither in {package}/lua/fragments nor in messaging/lua/fragments"
    )
