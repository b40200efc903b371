"""Whether a namespace is ours alone: keys of other software under our names would make every script fail.

Asked before a process starts, and by `trunkline doctor`. Of the keys in `lua/fragments/queues.lua` this module knows
only of what kind they are.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import redis
from redis.exceptions import NoPermissionError

from messaging.redis_access.server_check import Problem

__all__ = ["check_namespace"]

_STEP: Final = "set TRUNKLINE_NAMESPACE to a name that nothing else uses"
_KINDS: Final = {
    "__queues__": "set",
    "__workers__": "zset",
    "__gone__": "zset",
    "__heartbeats__": "zset",
    "__reads__": "zset",
    "__recovery__": "hash",
    "__sequence__": "string",
}
_KINDS_OF_A_QUEUE: Final = {
    "": "list",
    ".msgs": "hash",
    ".XQ": "zset",
    ".XQ.msgs": "hash",
    ".XQ.causes": "hash",
    ":schedule": "zset",
    ":schedule.msgs": "hash",
    ":deliveries": "hash",
    ":limits": "hash",
}


def check_namespace(client: redis.Redis, namespace: str) -> list[Problem]:
    """Looks for keys of other software.

    Args:
        client: A client with `decode_responses=False`.
        namespace: The key prefix, braces included.

    Returns:
        An error for each key that is in our way, and a warning if others were here before us.
    """
    try:
        found = list(_in_our_way(client, namespace, _KINDS))
        if not found:
            queues: Any = client.smembers(f"{namespace}:__queues__")
            kinds = {
                f"{queue.decode()}{suffix}": kind for queue in queues for suffix, kind in _KINDS_OF_A_QUEUE.items()
            }
            found = list(_in_our_way(client, namespace, kinds))
        return found or list(_here_before_us(client, namespace))
    except NoPermissionError as error:
        return [Problem("warning", f"the keys of {namespace} could not be looked at: {error}", "allow TYPE and SCAN")]


def _in_our_way(client: redis.Redis, namespace: str, kinds: dict[str, str]) -> Iterator[Problem]:
    names = [f"{namespace}:{name}" for name in kinds]
    for name, kind, found in zip(names, kinds.values(), _types(client, names), strict=True):
        if found not in (kind, "none"):
            what = (
                f"the key {name} is a {found}, and Trunkline keeps a {kind} there: other software uses this namespace"
            )
            yield Problem("error", what, _STEP)


def _types(client: redis.Redis, names: Sequence[str]) -> list[str]:
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.type(name)
        return [answer.decode() for answer in pipeline.execute()]


def _here_before_us(client: redis.Redis, namespace: str) -> Iterator[Problem]:
    if client.exists(f"{namespace}:__sequence__", f"{namespace}:__queues__"):
        return
    other = next(iter(client.scan_iter(match=f"{namespace}:*", count=1000)), None)
    if other is not None:
        name = other.decode(errors="replace")
        yield Problem("warning", f"there are keys such as {name} which are not Trunkline's", _STEP)
