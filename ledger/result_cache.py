"""Results of `read` tools that may be reused for equal arguments.

Keys: :cache:<digest> string, the content of a tool message; expires when the tool's policy says.
"""

import hashlib
import json
from datetime import timedelta

from messaging.command import Command, text, whole


def cache_key(namespace: str, *, tool: str, tenant: str, arguments: str) -> str:
    """The key of a result. Arguments that differ only in the order of their fields or in white space are equal.

    Args:
        namespace: The deployment's key prefix, braces included.
        tool: `name@version`.
        tenant: Whose result it is: what a tool answers may depend on who asks.
        arguments: JSON text.
    """
    canonical = json.dumps([tool, tenant, json.loads(arguments)], sort_keys=True, separators=(",", ":"))
    return f"{namespace}:cache:{hashlib.sha256(canonical.encode()).hexdigest()}"


def read_cached(key: str) -> Command[str | None]:
    """The result kept under `key`, if there is one."""
    return Command(None, ("GET", key), lambda answer: None if answer is None else text(answer))


def keep_result(key: str, content: str, *, ttl: timedelta) -> Command[object]:
    """Keeps a result for `ttl`."""
    return Command(None, ("SET", key, content, "PX", max(1, round(ttl / timedelta(milliseconds=1)))), whole)
