"""What becomes of a declared tool: what is published, what kind of function it is, and that it stays one."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import pytest
from pydantic import Field, ValidationError

from schemas.tool import ToolSpecification
from tests.declared_tools import declare, search_properties, with_every_type
from workers.context import Progress, ToolContext
from workers.errors import CallCancelled
from workers.tool import tool

PROJECT = Path(__file__).resolve().parents[2]


# What is published


def test_a_declaration_becomes_the_specification_that_the_pool_publishes() -> None:
    specification = search_properties.specification

    assert specification.model_dump(mode="json", exclude={"parameters"}) == {
        "schema_version": 1,
        "name": "search_properties",
        "version": "1.2.0",
        "description": "Search for properties by location and price.\n\nPrefer a zip code where there is one.",
        "pool": "property",
        "effect": "read",
        "timeout_ms": 5_000,
        "permissions": ["property:list", "property:read"],
        "max_attempts": 4,
        "backoff_ms": 250,
        "max_backoff_ms": 2_000,
        "cache_ms": 300_000,
        "cpu_bound": False,
    }
    assert specification.reference == "search_properties@1.2.0"
    assert specification.timeout == timedelta(seconds=5)
    assert specification.cache == timedelta(minutes=5)
    assert (specification.backoff, specification.max_backoff) == (timedelta(milliseconds=250), timedelta(seconds=2))


def test_a_specification_survives_the_wire() -> None:
    specification = with_every_type.specification

    assert ToolSpecification.model_validate_json(specification.model_dump_json()) == specification


def test_a_specification_of_a_newer_version_is_refused() -> None:
    published = search_properties.specification.model_dump(mode="json") | {"schema_version": 999}

    with pytest.raises(ValidationError, match="schema_version"):
        ToolSpecification.model_validate(published)


def test_the_schema_comes_from_the_signature_without_the_context() -> None:
    assert search_properties.specification.parameters == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "location": {"type": "string", "description": "City, state or zip code"},
            "min_price": {
                "anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}],
                "default": None,
                "description": "Minimum price in USD",
            },
            "limit": {"type": "integer", "default": 10, "description": "How many at most."},
        },
        "required": ["location"],
    }
    assert search_properties.takes_context


def test_only_the_pool_must_be_given_and_the_rest_defaults_to_the_careful_side() -> None:
    @tool(pool="property")
    def sell(address: str) -> None:
        """Sell a house."""

    specification = sell.specification
    assert (specification.version, specification.effect) == ("1.0.0", "unsafe")
    assert specification.timeout == timedelta(seconds=30)
    assert (specification.max_attempts, specification.cache, specification.permissions) == (1, None, frozenset())
    assert (sell.takes_context, sell.is_async, sell.is_generator) == (False, False, False)


def test_titles_go_and_a_property_called_title_stays() -> None:
    schema = json.dumps(with_every_type.specification.parameters)

    assert '"title": "' not in schema
    assert '"title": {"type": "string"}' in schema
    assert set(with_every_type.specification.parameters["$defs"]) == {"Area", "Kind", "Window"}  # type: ignore[arg-type]  # JSON


def test_a_description_is_found_in_a_field_in_a_union_and_in_the_docstring() -> None:
    def look(
        first: Annotated[int, Field(description="from Field"), "not this"],
        second: Annotated[str, "from a member"] | None = None,
        third: int = 0,
    ) -> None:
        """Look.

        Args:
            first: Not this.
            third: from Args
        """

    properties = declare(look).specification.parameters["properties"]
    assert isinstance(properties, dict)
    descriptions = [value.get("description") for value in properties.values() if isinstance(value, dict)]
    assert descriptions == ["from Field", "from a member", "from Args"]


def test_parameters_may_have_the_names_of_pydantic_methods_and_an_alias() -> None:
    def odd(json: int, model_config: str, _hidden: int, from_: Annotated[str, Field(alias="from")]) -> None: ...

    values = declare(odd).validate_arguments({"json": 1, "model_config": "a", "_hidden": 2, "from": "b"})
    assert values == {"json": 1, "model_config": "a", "_hidden": 2, "from_": "b"}


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    def now() -> str:
        return "now"

    declared = declare(now)
    assert declared.specification.parameters == {"type": "object", "properties": {}, "additionalProperties": False}
    assert declared.validate_arguments({}) == {}


def test_the_name_and_the_description_can_be_given() -> None:
    declared = declare(lambda: None, name="do-it", description="Do it.")

    assert (declared.name, declared.specification.description) == ("do-it", "Do it.")


# Calling


def test_a_tool_is_still_the_plain_function() -> None:
    assert search_properties("Berlin", limit=3, context=ToolContext.for_test()) == ["Berlin None 3"]
    assert search_properties.__doc__ is not None


def test_a_context_for_tests_tells_time_attempt_and_cancellation() -> None:
    context = ToolContext.for_test(attempt=2, remaining=timedelta(hours=1))

    assert timedelta(minutes=59) < context.remaining() <= timedelta(hours=1)
    assert (context.attempt, context.idempotency_key, context.cancelled) == (2, context.call_id, False)
    context.cancellation.set()
    with pytest.raises(CallCancelled):
        search_properties("Berlin", context=context)


def test_no_time_is_left_once_it_is_up() -> None:
    assert ToolContext.for_test(remaining=timedelta(seconds=-5)).remaining() == timedelta(0)


@pytest.mark.parametrize(("given", "kept"), [(-1.0, 0.0), (0.5, 0.5), (1.01, 1.0), (float("nan"), 0.0), (None, None)])
def test_the_fraction_of_progress_stays_between_nought_and_one(given: float | None, kept: float | None) -> None:
    assert Progress("going on", fraction=given).fraction == kept


# Kinds of functions


async def fetch(url: str) -> int:
    return len(url)


def count(upto: int) -> Generator[Progress, None, list[int]]:
    yield Progress("counting", fraction=0.5)
    return list(range(upto))


def count_lazily(upto: int) -> Iterator[Progress | str]:
    yield str(upto)


async def crawl(url: str) -> AsyncIterator[Progress | dict[str, int]]:
    yield Progress("crawling")
    yield {url: 1}


def only_progress() -> Iterator[Progress]:
    yield Progress("nothing comes of it")


def anything(value: int):  # type: ignore[no-untyped-def]  # that a result needs no annotation is what is tested
    return value


def refuse() -> NoReturn:
    raise RuntimeError


@pytest.mark.parametrize(
    ("function", "is_async", "is_generator", "result_type"),
    [
        (fetch, True, False, int),
        (count, False, True, list[int]),
        (count_lazily, False, True, str),
        (crawl, True, True, dict[str, int]),
        (only_progress, False, True, type(None)),
    ],
)
def test_what_kind_of_function_it_is_and_what_comes_of_it(
    function: Callable[..., Any], is_async: bool, is_generator: bool, result_type: object
) -> None:
    declared = declare(function)

    assert (declared.is_async, declared.is_generator) == (is_async, is_generator)
    assert declared.result_adapter is not None
    assert declared.result_adapter._type == result_type


@pytest.mark.parametrize("function", [anything, refuse])
def test_a_function_that_does_not_say_what_it_returns_may_return_anything(function: Callable[..., Any]) -> None:
    assert declare(function).result_adapter is None


# Weight


def test_declaring_a_tool_loads_neither_queues_nor_models_and_the_schema_library_only_for_raw_schemas() -> None:
    program = """
import sys
from workers.tool import tool
@tool(pool="x")
def plain(a: int) -> None:
    "Do."
heavy = {"redis", "dramatiq", "openai", "jsonschema", "opentelemetry"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
@tool(pool="x", parameters={"type": "object"})
def raw(**a: int) -> None:
    "Do."
assert heavy & set(sys.modules) == {"jsonschema"}, heavy & set(sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
