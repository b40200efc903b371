"""Whether a Redis server is fit for Trunkline: asked once at start, and by `trunkline doctor`.

`gather_facts` asks the server, `judge` is pure. What a server does not let its user see is not held against it, except
where nothing works without it. This module must not know what is kept in Redis.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from messaging.redaction import redact
from messaging.redis_access.clients import reason_of

__all__ = ["Problem", "ServerFacts", "Severity", "check_server", "gather_facts", "judge"]

Severity: TypeAlias = Literal["error", "warning"]

_OLDEST_VERSION: Final = (7, 0)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about the server that must (`error`) or should (`warning`) be changed."""

    severity: Severity
    what: str
    """What is wrong, as a sentence without its full stop."""
    next_step: str
    """What to do about it, likewise."""

    def __str__(self) -> str:
        return f"{self.what}; {self.next_step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server said of itself. None: it would not say, or did not know."""

    unreachable: str | None = None
    """Why it does not answer; the other facts are empty then."""
    version: str | None = None
    mode: str | None = None
    """`standalone`, `cluster` or `sentinel`."""
    role: str | None = None
    """`master` or `slave`, as Redis calls them."""
    max_memory: int | None = None
    """In bytes; 0 is no limit."""
    eviction_policy: str | None = None
    append_only: bool | None = None
    lua_refused: str | None = None
    """Why it would not run a script."""
    hidden: tuple[str, ...] = field(default=())
    """What its user may not ask it."""


def check_server(client: redis.Redis, *, in_cluster: bool = False) -> list[Problem]:
    """Asks a server about itself and returns what is wrong with it, errors first.

    Args:
        client: Any client of it.
        in_cluster: Whether the client knows how to find its node of a Redis Cluster (a `redis+cluster://` URL).
    """
    return judge(gather_facts(client), in_cluster=in_cluster)


def gather_facts(client: redis.Redis) -> ServerFacts:
    """Asks a server about itself. Raises nothing of redis-py's."""
    hidden: list[str] = []
    try:
        client.ping()
        info = {
            name: _text(value)
            for section in ("server", "replication", "memory", "persistence")
            for name, value in _ask_info(client, section, hidden).items()
        }
        policy = info.get("maxmemory_policy") or _ask_setting(client, "maxmemory-policy", hidden)
        refusal = _try_script(client)
    except (RedisConnectionError, RedisTimeoutError) as error:
        return ServerFacts(unreachable=reason_of(error))
    append_only = info.get("aof_enabled")
    max_memory = info.get("maxmemory")
    return ServerFacts(
        version=info.get("redis_version"),
        mode=info.get("redis_mode") or info.get("server_mode"),
        role=info.get("role"),
        max_memory=int(max_memory) if max_memory is not None and max_memory.isdecimal() else None,
        eviction_policy=policy,
        append_only=None if append_only is None else append_only == "1",
        lua_refused=refusal,
        hidden=tuple(hidden),
    )


def judge(facts: ServerFacts, *, in_cluster: bool = False) -> list[Problem]:
    """Says what is wrong with a server, errors first. Pure."""
    if facts.unreachable is not None:
        return [
            Problem(
                "error",
                f"Redis cannot be reached: {facts.unreachable}",
                "start `trunkline up` or set TRUNKLINE_REDIS_URL",
            )
        ]
    found = [*_of_the_server(facts, in_cluster=in_cluster), *_of_its_memory(facts), *_of_its_disk(facts)]
    if facts.hidden:
        found.append(
            Problem(
                "warning",
                f"not everything could be checked: the user of TRUNKLINE_REDIS_URL may not call {_and(facts.hidden)}",
                "grant these, or check by hand that the server is version 7 or newer with maxmemory-policy noeviction",
            )
        )
    return sorted(found, key=lambda problem: problem.severity)  # "error" comes before "warning"


def _of_the_server(facts: ServerFacts, *, in_cluster: bool) -> list[Problem]:
    found = []
    if facts.version is not None and _version(facts.version) < _OLDEST_VERSION:
        step = "use Redis 7 or newer, or any Valkey"
        found.append(Problem("error", f"this is Redis {facts.version}, and Trunkline needs 7 or newer", step))
    if facts.lua_refused is not None:
        step = "allow the commands EVAL, EVALSHA and SCRIPT LOAD (+@scripting) to the user of TRUNKLINE_REDIS_URL"
        found.append(Problem("error", f"the server does not run Lua scripts: {facts.lua_refused}", step))
    if facts.mode == "sentinel":
        step = "use redis+sentinel://host:port/service as TRUNKLINE_REDIS_URL"
        found.append(Problem("error", "this is a Sentinel, not a Redis server", step))
    if facts.role == "slave":
        step = "use the primary's address in TRUNKLINE_REDIS_URL, or redis+sentinel://host:port/service"
        found.append(Problem("error", "this server is a replica, which takes no writes", step))
    if facts.mode == "cluster" and not in_cluster:
        step = "use redis+cluster://host:port as TRUNKLINE_REDIS_URL, which finds the right node after a fail-over too"
        found.append(Problem("warning", "this is one node of a Redis Cluster", step))
    return found


def _of_its_memory(facts: ServerFacts) -> list[Problem]:
    if facts.eviction_policy in (None, "noeviction"):
        return []
    step = "run `CONFIG SET maxmemory-policy noeviction` and set it in the server's configuration file"
    if facts.max_memory == 0:
        what = f"maxmemory-policy is {facts.eviction_policy}: with a maxmemory, Redis would drop messages"
        return [Problem("warning", what, step)]
    what = f"maxmemory-policy is {facts.eviction_policy}: when memory is short, Redis drops messages"
    return [Problem("error", what, step)]


def _of_its_disk(facts: ServerFacts) -> list[Problem]:
    if facts.append_only is not False:
        return []
    step = "run `CONFIG SET appendonly yes` and set it in the server's configuration file"
    return [Problem("warning", "appendonly is no: a restart of Redis loses what came after its last snapshot", step)]


def _ask_info(client: redis.Redis, section: str, hidden: list[str]) -> Mapping[str, Any]:
    try:
        return client.info(section)
    except NoPermissionError:
        if "INFO" not in hidden:
            hidden.append("INFO")
    except ResponseError:  # a proxy that does not know the section
        pass
    return {}


def _ask_setting(client: redis.Redis, name: str, hidden: list[str]) -> str | None:
    try:
        answer = client.config_get(name)
    except NoPermissionError:
        hidden.append("CONFIG GET")
        return None
    except ResponseError:  # managed servers rename the command away
        return None
    return next((_text(value) for value in answer.values()), None)


def _try_script(client: redis.Redis) -> str | None:
    try:
        client.eval("return 1", 0)
    except NoPermissionError:
        return "its user may not call EVAL"
    except ResponseError as error:
        return redact(str(error))
    return None


def _version(text: str) -> tuple[int, ...]:
    numbers = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(number) for number in numbers[0].split(".")) if numbers else ()


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _and(names: tuple[str, ...]) -> str:
    return " and ".join(names)
