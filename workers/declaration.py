"""What an engineer writes in `@tool(...)`, checked and turned into the specification that a pool publishes.

Whatever could go wrong at the first call is refused here, when the process starts. This module must not know functions
or arguments.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, get_args

from pydantic import JsonValue, ValidationError

from schemas.tool import Effect, ToolSpecification, is_reserved_pool
from workers.errors import ToolDeclarationError

__all__ = ["Declaration", "Retries", "specify"]

_MILLISECOND: Final = timedelta(milliseconds=1)

_REMEDIES: Final = {
    "name": "a name is at most 64 letters, digits, `_` and `-`, and begins with a letter or `_`; give `name=`",
    "version": "a version is semantic, as in `1.2.0`",
    "pool": "a pool is at most 100 letters, digits, `.`, `_` and `-`, and begins with a letter or `_`",
    "permissions": "permissions are texts of 1 to 200 characters, as in `property:read`",
}


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How a tool that failed is tried again. Waiting happens in the queue's schedule, never in a worker.

    Attributes:
        max_attempts: Attempts in all, the first one included.
        backoff: The wait before the second attempt; it grows from attempt to attempt.
        max_backoff: What that wait is capped at.
    """

    max_attempts: int = 3
    backoff: timedelta = timedelta(seconds=1)
    max_backoff: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """The policies of a tool, as `workers.tool.tool` takes them."""

    pool: str
    version: str
    effect: Effect
    timeout: timedelta
    permissions: Collection[str]
    cache: timedelta | None
    retries: Retries | None
    cpu_bound: bool


def specify(
    declaration: Declaration,
    *,
    where: str,
    name: str,
    description: str,
    parameters: dict[str, JsonValue],
    is_async: bool,
) -> ToolSpecification:
    """Check a declaration and put it into the form that crosses the wire.

    Args:
        declaration: The policies.
        where: The function as `module.qualname`, for messages.
        name: What the model calls the tool.
        description: What the model reads of it.
        parameters: The JSON Schema of its arguments.
        is_async: Whether the function is an `async def`.

    Raises:
        ToolDeclarationError: something in it is wrong.
    """
    mistake = next(_mistakes(declaration, description=description, is_async=is_async), None)
    if mistake is not None:
        raise ToolDeclarationError(where, problem=mistake[0], remedy=mistake[1])
    retries = declaration.retries or Retries(max_attempts=1)
    try:
        return ToolSpecification(
            name=name,
            version=declaration.version,
            description=description,
            parameters=parameters,
            pool=declaration.pool,
            effect=declaration.effect,
            timeout_ms=declaration.timeout // _MILLISECOND,
            permissions=frozenset(declaration.permissions),
            max_attempts=retries.max_attempts,
            backoff_ms=retries.backoff // _MILLISECOND,
            max_backoff_ms=retries.max_backoff // _MILLISECOND,
            cache_ms=None if declaration.cache is None else declaration.cache // _MILLISECOND,
            cpu_bound=declaration.cpu_bound,
        )
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = str(detail["loc"][0])
        remedy = _REMEDIES.get(field, detail["msg"])
        raise ToolDeclarationError(
            where, problem=f"the {field} {detail['input']!r} is not allowed", remedy=remedy[0].upper() + remedy[1:]
        ) from error


def _mistakes(declaration: Declaration, *, description: str, is_async: bool) -> Iterator[tuple[str, str]]:
    """What is wrong beyond the form of each value, as pairs of problem and remedy."""
    if not description.strip():
        yield (
            "the tool has no description, so that no model could know when to call it",
            "Write a docstring that says what it does and when to use it",
        )
    if declaration.effect not in get_args(Effect):
        yield (
            f"the effect {declaration.effect!r} is unknown",
            'Say what repeating a call would mean: "read" (nothing), "idempotent" (nothing, if the key is the same) or '
            '"unsafe" (a second deed)',
        )
    if isinstance(declaration.pool, str) and is_reserved_pool(declaration.pool):
        yield (
            f"{declaration.pool!r} is a queue of the system's own, not a pool",
            "Name the pool otherwise; `orchestrator`, `intake` and all that begins with `reply.` are taken",
        )
    if isinstance(declaration.permissions, str):
        yield "`permissions` is one text", f"Write a set: `permissions={{{declaration.permissions!r}}}`"
    yield from _mistakes_in_durations(declaration)
    yield from _contradictions(declaration, is_async=is_async)


def _mistakes_in_durations(declaration: Declaration) -> Iterator[tuple[str, str]]:
    retries = Retries() if declaration.retries is None else declaration.retries
    if not isinstance(retries, Retries):
        yield f"`retries` is {retries!r}", "Write `retries=Retries(max_attempts=…)`"
        return
    durations = [
        ("timeout", declaration.timeout, _MILLISECOND),
        ("cache", _MILLISECOND if declaration.cache is None else declaration.cache, _MILLISECOND),
        ("backoff", retries.backoff, timedelta(0)),
        ("max_backoff", retries.max_backoff, retries.backoff),
    ]
    for name, duration, least in durations:
        if not isinstance(duration, timedelta):
            yield f"the {name} {duration!r} has no unit", f"Write `{name}=timedelta(seconds=…)`"
        elif duration < least:
            yield f"the {name} is {duration.total_seconds():g} s", f"Give it at least {least.total_seconds():g} s"
    if retries.max_attempts < 1:
        yield f"max_attempts is {retries.max_attempts}", "The first attempt counts: give it at least 1"


def _contradictions(declaration: Declaration, *, is_async: bool) -> Iterator[tuple[str, str]]:
    if declaration.cache is not None and declaration.effect != "read":
        yield (
            f'results are cached though the effect is "{declaration.effect}": a cached answer does nothing',
            'Remove `cache=`, or declare effect="read" if the tool only looks things up',
        )
    if declaration.effect == "unsafe" and declaration.retries is not None and declaration.retries.max_attempts > 1:
        yield (
            'the effect is "unsafe", and a retry would do the deed again',
            'Remove `retries=`, or declare effect="idempotent" if the tool hands context.idempotency_key on',
        )
    if declaration.cpu_bound and is_async:
        yield (
            "an async function cannot be cpu_bound: it runs on the event loop, not in a process of its own",
            "Make it a plain `def`, or remove `cpu_bound=True`",
        )
