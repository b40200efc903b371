"""Which mistakes in a declaration stop the process, and that the message helps to correct them."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Annotated, Any

import pytest
from annotated_types import Le
from pydantic import Field

from workers.context import ToolContext
from workers.errors import ToolDeclarationError
from workers.tool import Retries, Tool, tool


def declare(function: Callable[..., Any], **policies: Any) -> Tool[..., Any]:
    """Declare with policies that a type checker would refuse."""
    return tool(**{"pool": "property", "description": "Does something.", **policies})(function)


# Mistakes


def without_annotation(city, days: int = 1) -> None: ...  # type: ignore[no-untyped-def]  # the mistake


class Place:
    def method(self, city: str) -> None: ...


def with_positional_only(city: str, /) -> None: ...
def with_stars(*cities: str) -> None: ...
def with_names(**cities: str) -> None: ...
def with_positional_context(city: str, context: ToolContext) -> None: ...
def with_renamed_context(city: str, *, ctx: ToolContext) -> None: ...
def with_unserialisable_default(city: Any = object()) -> None: ...  # noqa: B008 - the mistake
def with_field_default(city: str = Field(default="Ulm")) -> None: ...
def with_unknown_type(place: Place) -> None: ...
def with_uncallable_type(place: Callable[[], int]) -> None: ...
def with_impossible_constraint(city: Annotated[list[str], Le(3), Field(pattern="(")]) -> None: ...
def with_same_alias(a: Annotated[int, Field(alias="c")], b: Annotated[int, Field(alias="c")]) -> None: ...
def with_unknown_result() -> Place:
    return Place()


def with_unresolvable(city: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821 - the mistake
def with_broken_annotation(city: "1 +") -> None: ...  # type: ignore[valid-type]  # noqa: F722 - the mistake


@pytest.mark.parametrize(
    ("function", "problem", "remedy"),
    [
        (without_annotation, "'city' has no annotation", r"Annotated\[str"),
        (Place.method, "'self' has no annotation, as in a method", "plain functions"),
        (with_positional_only, "'city' is positional-only", "Remove the `/`"),
        (with_stars, r"\*cities takes arguments that the model cannot be told of", "Name every parameter"),
        (with_names, r"\*\*cities takes arguments", "parameters="),
        (with_positional_context, "positional or keyword parameter 'context'", r"\*, context: ToolContext"),
        (with_renamed_context, "parameter 'ctx'", r"\*, context: ToolContext"),
        (
            with_unserialisable_default,
            "'city' has no JSON Schema .*not JSON serializable",
            "default that has a JSON form",
        ),
        (with_field_default, r"the default of 'city' is a Field\(...\)", "plain value"),
        (with_unknown_type, "'place' has no JSON Schema", "pydantic models"),
        (with_uncallable_type, "'place' has no JSON Schema", "pydantic models"),
        (with_impossible_constraint, "'city' has no JSON Schema", "pydantic models"),
        (with_same_alias, "'a' and 'b' are both shown to the model as 'c'", "one of the aliases"),
        (with_unknown_result, "returns .*Place.*no JSON form", "pydantic models"),
        (with_unresolvable, "uses the name 'Nowhere'", "module level"),
        (with_broken_annotation, "cannot be evaluated .*SyntaxError", "Write a type"),
        (len, "not a function", "plain `def`"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused_by_name(
    function: Callable[..., Any], problem: str, remedy: str
) -> None:
    with pytest.raises(ToolDeclarationError, match=problem) as caught:
        declare(function)
    caught.match(remedy)
    assert function is len or str(caught.value).startswith(f"{__name__}.{function.__qualname__}: ")


@pytest.mark.parametrize(
    ("policies", "problem", "remedy"),
    [
        ({"name": "search properties"}, "name 'search properties' is not allowed", "at most 64"),
        ({"name": "x" * 65}, "is not allowed", "at most 64"),
        ({"version": "1.2"}, "version '1.2' is not allowed", "semantic"),
        ({"version": "01.2.3"}, "version '01.2.3' is not allowed", "semantic"),
        ({"version": "1.2.3\n"}, "is not allowed", "semantic"),
        ({"pool": "my pool"}, "pool 'my pool' is not allowed", "at most 100"),
        ({"pool": ""}, "pool '' is not allowed", "at most 100"),
        ({"pool": "orchestrator"}, "'orchestrator' is a queue of the system's own", "otherwise"),
        ({"pool": "intake"}, "'intake' is a queue of the system's own", "otherwise"),
        ({"pool": "reply.upstream"}, "'reply.upstream' is a queue of the system's own", "otherwise"),
        ({"timeout": timedelta(0)}, "timeout is 0 s", "at least 0.001 s"),
        ({"timeout": timedelta(microseconds=999)}, "timeout is 0.000999 s", "at least 0.001 s"),
        ({"timeout": 5}, "timeout 5 has no unit", "timedelta"),
        ({"cache": timedelta(minutes=1)}, 'results are cached though the effect is "unsafe"', 'effect="read"'),
        ({"cache": timedelta(minutes=1), "effect": "idempotent"}, "cached though the effect", "Remove `cache=`"),
        ({"cache": timedelta(0), "effect": "read"}, "cache is 0 s", "at least 0.001 s"),
        ({"retries": Retries(max_attempts=2)}, 'effect is "unsafe", and a retry', "idempotency_key"),
        ({"retries": Retries(max_attempts=0)}, "max_attempts is 0", "at least 1"),
        ({"retries": 3}, "`retries` is 3", "Retries"),
        (
            {"retries": Retries(backoff=timedelta(seconds=5), max_backoff=timedelta(seconds=1)), "effect": "read"},
            "max_backoff is 1 s",
            "at least 5 s",
        ),
        ({"retries": Retries(backoff=timedelta(seconds=-1))}, "backoff is -1 s", "at least 0 s"),
        ({"description": ""}, "has no description", "docstring"),
        ({"description": None}, "has no description", "docstring"),
        ({"effect": "write"}, "effect 'write' is unknown", "idempotent"),
        ({"permissions": "property:read"}, "`permissions` is one text", "Write a set"),
        ({"permissions": {""}}, "permissions '' is not allowed", "property:read"),
    ],
)
def test_policies_that_are_wrong_or_contradict_each_other_are_refused(
    policies: dict[str, Any], problem: str, remedy: str
) -> None:
    def plain(city: str) -> None: ...

    with pytest.raises(ToolDeclarationError, match=problem) as caught:
        declare(plain, **policies)
    caught.match(remedy)
    assert plain.__qualname__ in str(caught.value)


async def fetch(url: str) -> None: ...
async def crawl(url: str) -> AsyncIterator[str]:
    yield url


@pytest.mark.parametrize("function", [fetch, crawl])
def test_an_async_function_cannot_have_a_process_of_its_own(function: Callable[..., Any]) -> None:
    with pytest.raises(ToolDeclarationError, match="cannot be cpu_bound"):
        declare(function, cpu_bound=True)


@pytest.mark.parametrize("version", ["0.0.0", "10.20.30", "1.0.0-alpha.1", "1.0.0-rc.1+build.5", "1.0.0+20260101"])
def test_every_form_of_semantic_version_is_allowed(version: str) -> None:
    def plain() -> None: ...

    assert declare(plain, version=version).reference == f"plain@{version}"


def test_one_attempt_may_be_spelled_out_for_an_unsafe_tool() -> None:
    def plain() -> None: ...

    assert declare(plain, retries=Retries(max_attempts=1)).specification.max_attempts == 1
