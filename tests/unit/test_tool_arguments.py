"""What the model may send as arguments, what becomes of them, and what it is told if they do not fit."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.declared_tools import Area, Kind, Window, declare, search_properties, with_every_type
from workers.context import ToolContext
from workers.errors import ArgumentsRejected, ToolDeclarationError
from workers.tool import Tool


def rejected(declared: Tool[..., Any], arguments: object) -> list[tuple[str, str]]:
    with pytest.raises(ArgumentsRejected) as caught:
        declared.validate_arguments(arguments)
    return [(path, problem) for path, problem in caught.value.problems]


# Arguments


def test_arguments_become_the_annotated_types() -> None:
    values = with_every_type.validate_arguments(
        {
            "kind": "flat",
            "order": "up",
            "day": "2026-02-03",
            "price": "19.90",
            "area": {"title": "Centre", "zip_codes": ["10115"]},
            "window": {"start": "2026-01-01", "end": "2026-01-02"},
            "tags": [1, 2, 2],
        }
    )

    assert values == {
        "kind": Kind.FLAT,
        "order": "up",
        "day": date(2026, 2, 3),
        "price": Decimal("19.90"),
        "area": Area(title="Centre", zip_codes=["10115"]),
        "window": Window(date(2026, 1, 1), date(2026, 1, 2)),
        "tags": {1, 2},
        "title": None,
    }
    assert isinstance(with_every_type(**values), str)


def test_harmless_mistakes_of_a_model_are_taken() -> None:
    assert search_properties.validate_arguments({"location": "Ulm", "min_price": "100", "limit": 5.0}) == {
        "location": "Ulm",
        "min_price": 100.0,
        "limit": 5,
    }


def test_every_misfit_is_told_with_its_path() -> None:
    assert rejected(search_properties, {"min_price": -1, "limit": "many", "city": "Ulm"}) == [
        ("location", "is required"),
        ("min_price", "Input should be greater than or equal to 0"),
        ("limit", "Input should be a valid integer, unable to parse string as an integer"),
        ("city", "is not a parameter; there are: location, min_price, limit"),
    ]


def test_a_path_names_what_the_model_wrote_and_not_the_members_of_a_union() -> None:
    def look(where: list[Area] | int, mode: int | bool = 1) -> None: ...

    problems = rejected(declare(look), {"where": [{"title": "a"}, {"zip_codes": ["b", []]}], "mode": "x"})

    assert {path for path, _ in problems} == {"where", "where[1].title", "where[1].zip_codes[1]", "mode"}


@pytest.mark.parametrize("arguments", [[], "x", None, 3])
def test_arguments_that_are_no_object_are_rejected(arguments: object) -> None:
    assert rejected(search_properties, arguments) == [("", "must be a JSON object")]


def test_a_tool_without_parameters_takes_no_argument() -> None:
    def now() -> str:
        return "now"

    assert rejected(declare(now), {"zone": "UTC"}) == [("zone", "is not a parameter; there are none")]


def test_a_number_that_json_does_not_have_is_rejected() -> None:
    assert rejected(search_properties, {"location": "Ulm", "min_price": float("inf")})[0][0] == "min_price"


def test_the_rejection_stays_short_however_much_is_wrong() -> None:
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    with pytest.raises(ArgumentsRejected, match="and 980 more") as caught:
        declare(total).validate_arguments({"numbers": ["x"] * 1000})
    assert len(caught.value.problems) == 20


def test_a_default_of_one_call_does_not_leak_into_the_next() -> None:
    def collect(items: list[int] = []) -> list[int]:  # noqa: B006 - this is what the test is about
        return items

    declared = declare(collect)
    declared.validate_arguments({})["items"].append(1)
    assert declared.validate_arguments({}) == {"items": []}


# Schemas from elsewhere

CITY_SCHEMA = {
    "type": "object",
    "properties": {"city": {"$ref": "#/$defs/City"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city"],
    "$defs": {"City": {"type": "string", "pattern": "^[A-Z]"}},
}


def forecast(city: str, days: int = 1) -> str:
    """Forecast the weather."""
    return f"{city} {days}"


def test_a_raw_schema_is_published_as_it_is_and_checks_arguments() -> None:
    declared = declare(forecast, parameters=CITY_SCHEMA)

    assert declared.specification.parameters == CITY_SCHEMA
    assert declared.validate_arguments({"city": "Ulm", "days": 2}) == {"city": "Ulm", "days": 2}
    assert rejected(declared, {"days": 0}) == [
        ("", "'city' is a required property"),
        ("days", "0 is less than the minimum of 1"),
    ]
    assert rejected(declared, {"city": "ulm"}) == [("city", "'ulm' does not match '^[A-Z]'")]
    assert rejected(declared, {"city": "Ulm", "unit": "C"}) == [("unit", "is not a parameter")]
    assert rejected(declared, ["Ulm"]) == [("", "must be a JSON object")]


def test_a_raw_schema_may_go_with_any_names_and_no_annotations() -> None:
    def passed_on(*, context: ToolContext, **arguments: Any) -> dict[str, Any]:
        return arguments

    declared = declare(passed_on, parameters=CITY_SCHEMA)

    assert declared.validate_arguments({"city": "Ulm", "unit-of": "C"}) == {"city": "Ulm", "unit-of": "C"}
    assert rejected(declared, {"city": "Ulm", "context": 1}) == [("context", "is not a parameter")]


def test_a_long_value_is_not_repeated_to_the_model() -> None:
    declared = declare(forecast, parameters=CITY_SCHEMA)

    assert len(rejected(declared, {"city": "x" * 10_000})[0][1]) == 300


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "objekt"}, "not a valid JSON Schema, at type: 'objekt'"),
        ({"type": "object", "properties": {"city": {"pattern": "("}}}, "not a valid JSON Schema, at properties/city"),
        ({"properties": {"city": {}}}, "has the type None"),
        ({"type": "object", "properties": {"city": {"$ref": "#/$defs/X"}}}, "refers to '#/\\$defs/X'"),
        ({"type": "object", "properties": {"city": {"$ref": "http://127.0.0.1/x"}}}, "nothing is fetched"),
        ({"type": "object", "properties": {"town": {}}}, "describes 'town', which the function does not take"),
        ({"type": "object", "properties": {"city": {}}}, "needs 'city', which `parameters` does not require"),
        ({"type": "object", "properties": {"city": {"default": {1}}}, "required": ["city"]}, "parameters"),
    ],
)
def test_a_raw_schema_that_is_wrong_or_does_not_fit_the_function_is_refused(
    schema: dict[str, Any], message: str
) -> None:
    with pytest.raises(ToolDeclarationError, match=message):
        declare(forecast, parameters=schema)


def test_a_raw_schema_and_the_function_cannot_both_have_a_context() -> None:
    def passed_on(*, context: ToolContext, **arguments: Any) -> None: ...

    with pytest.raises(ToolDeclarationError, match="named 'context'"):
        declare(passed_on, parameters={"type": "object", "properties": {"context": {"type": "string"}}})
