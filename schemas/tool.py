"""What a pool publishes about a tool: its name, its JSON Schema and its policies.

This is all that the orchestrator ever learns of a tool. The module must not know how a tool is declared, nor how it is
run.
"""

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, StringConstraints, field_serializer

from schemas.caller import Name
from schemas.wire import OLDEST_READABLE_VERSION, SCHEMA_VERSION, QueueName, WireModel

__all__ = [
    "RESERVED_POOLS",
    "RESERVED_POOL_PREFIX",
    "Effect",
    "SemanticVersion",
    "ToolName",
    "ToolSpecification",
    "is_reserved_pool",
]

RESERVED_POOLS: Final = frozenset({"orchestrator", "intake"})
"""Queues that are not pools: no tool may be declared on them."""
RESERVED_POOL_PREFIX: Final = "reply."
"""Queues that begin like this carry answers to upstream systems: no tool may be declared on them either."""

ToolName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$")]
"""What OpenAI takes for the name of a function."""

SemanticVersion = Annotated[
    str,
    StringConstraints(
        max_length=64,
        pattern=r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
        r"(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
        r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$",
    ),
]
"""`MAJOR.MINOR.PATCH`, with an optional pre-release and build (semver.org)."""

Effect = Literal["read", "idempotent", "unsafe"]
"""What repeating a call would mean: nothing, nothing if the key is the same, or a second deed."""


class ToolSpecification(WireModel):
    """One version of a tool, as its pool publishes it in the catalogue."""

    schema_version: Annotated[int, Field(ge=OLDEST_READABLE_VERSION, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    name: ToolName
    version: SemanticVersion
    description: Annotated[str, StringConstraints(min_length=1)]
    """What the model reads to decide whether to call the tool."""
    parameters: dict[str, JsonValue]
    """The JSON Schema of the arguments; its type is `object`."""
    pool: QueueName
    """The pool that runs the tool, which is also the queue its calls are sent to."""
    effect: Effect
    timeout_ms: Annotated[int, Field(ge=1)]
    """How long one attempt may run."""
    permissions: frozenset[Name] = frozenset()
    """What a caller must hold, all of it."""
    max_attempts: Annotated[int, Field(ge=1)] = 1
    """How often the tool may be tried in all when it fails; 1 is no retry."""
    backoff_ms: Annotated[int, Field(ge=0)] = 1_000
    """The wait before the second attempt."""
    max_backoff_ms: Annotated[int, Field(ge=0)] = 60_000
    """What the growing wait between attempts is capped at."""
    cache_ms: Annotated[int, Field(ge=1)] | None = None
    """How long a result may be reused for equal arguments; None is never."""
    cpu_bound: bool = False
    """Whether the tool holds the interpreter and so runs in a process of its own."""

    @property
    def reference(self) -> str:
        """`name@version`, which is unique in a deployment."""
        return f"{self.name}@{self.version}"

    @property
    def timeout(self) -> timedelta:
        """How long one attempt may run."""
        return timedelta(milliseconds=self.timeout_ms)

    @property
    def backoff(self) -> timedelta:
        """The wait before the second attempt."""
        return timedelta(milliseconds=self.backoff_ms)

    @property
    def max_backoff(self) -> timedelta:
        """What the growing wait between attempts is capped at."""
        return timedelta(milliseconds=self.max_backoff_ms)

    @property
    def cache(self) -> timedelta | None:
        """How long a result may be reused for equal arguments; None is never."""
        return None if self.cache_ms is None else timedelta(milliseconds=self.cache_ms)

    @field_serializer("permissions", when_used="json")
    def _in_one_order(self, permissions: frozenset[str]) -> list[str]:
        """Two processes that publish the same tool must write the same bytes."""
        return sorted(permissions)


def is_reserved_pool(pool: str) -> bool:
    """Whether no tool may be declared on this queue, because messages of other kinds travel on it."""
    return pool in RESERVED_POOLS or pool.startswith(RESERVED_POOL_PREFIX)
