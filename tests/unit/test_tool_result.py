"""What a tool returned, as the text that the model reads."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from workers.errors import ResultDoesNotFit, ResultNotSerializable
from workers.result import result_text, size_in_bytes
from workers.tool import Tool, tool


class Kind(Enum):
    FLAT = "flat"


class Colour(StrEnum):
    RED = "red"


class Property(BaseModel):
    address: str
    price: Decimal
    listed: date | None = None


@dataclass
class Point:
    x: float
    y: float


@tool(pool="property", effect="read", description="Find.")
def find() -> list[Property]:
    raise NotImplementedError


@tool(pool="property", effect="read", description="Anything.")
def anything():  # type: ignore[no-untyped-def]  # a tool that does not say what it returns
    raise NotImplementedError


def returning(annotation: Any) -> Tool[..., Any]:
    def function() -> None: ...

    function.__annotations__["return"] = annotation
    return tool(pool="property", description="Returns.")(function)


@pytest.mark.parametrize(("declared"), [anything, returning(str), returning(Any), returning(str | int)])
def test_text_stays_the_text_it_is(declared: Tool[..., Any]) -> None:
    assert result_text('Say "hello"\n€', tool=declared) == 'Say "hello"\n€'


def test_text_that_utf8_cannot_hold_is_repaired() -> None:
    assert result_text("half a \ud83d", tool=anything) == "half a ?"


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (2.5, "2.5"),
        (Decimal("19.90"), '"19.90"'),
        (Decimal("0.1234567890123456789012345"), '"0.1234567890123456789012345"'),
        (float("nan"), "null"),
        ([float("inf"), {"low": float("-inf")}], '[null,{"low":null}]'),
        (date(2026, 2, 3), '"2026-02-03"'),
        (datetime(2026, 2, 3, 4, 5, tzinfo=UTC), '"2026-02-03T04:05:00Z"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Kind.FLAT, '"flat"'),
        (Colour.RED, "red"),
        (Point(1.5, 2.0), '{"x":1.5,"y":2.0}'),
        (Property(address="Am Markt 1", price=Decimal(5)), '{"address":"Am Markt 1","price":"5","listed":null}'),
        ((1, "ä"), '[1,"ä"]'),
        ({1: {"a"}}, '{"1":["a"]}'),
        (b"bytes", '"bytes"'),
    ],
)
def test_everything_else_becomes_json_annotated_or_not(result: object, text: str) -> None:
    assert result_text(result, tool=anything) == text
    assert result_text(result, tool=returning(type(result) if result is not None else None)) == text


def test_a_dict_becomes_the_annotated_model() -> None:
    text = result_text([{"address": "Am Markt 1", "price": 5}], tool=find)

    assert json.loads(text) == [{"address": "Am Markt 1", "price": "5", "listed": None}]


def test_a_result_that_does_not_fit_its_annotation_names_the_tool_and_the_field() -> None:
    with pytest.raises(ResultDoesNotFit) as caught:
        result_text([{"address": "Am Markt 1", "price": 5}, {"price": "dear"}], tool=find)

    assert [path for path, _ in caught.value.problems] == ["[1].address", "[1].price"]
    caught.match(
        r"The result of find@1.0.0 does not fit its return annotation. \[1\].address: is required; \[1\].price"
    )


def test_none_is_no_list() -> None:
    with pytest.raises(ResultDoesNotFit, match="Input should be a valid list"):
        result_text(None, tool=find)


def test_the_error_does_not_repeat_the_result() -> None:
    with pytest.raises(ResultDoesNotFit) as caught:
        result_text([{"address": "Am Markt 1", "price": "hunter2"}], tool=find)

    assert "hunter2" not in str(caught.value)


def circle() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def deep() -> list[Any]:
    well: list[Any] = []
    for _ in range(5_000):
        well = [well]
    return well


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (object, "<class 'object'>"),
        (lambda: {"a": [ValueError()]}, "<class 'ValueError'>"),
        (lambda: b"\xff", "utf-8"),
        (lambda: ["half a \ud83d"], "utf-8"),
        (circle, "Circular reference"),
        (deep, "depth"),
    ],
)
@pytest.mark.parametrize("declared", [anything, returning(Any)])
def test_what_has_no_json_form_is_an_error_that_names_the_tool_and_the_type(
    make: Callable[[], object], problem: str, declared: Tool[..., Any]
) -> None:
    with pytest.raises(ResultNotSerializable, match=problem) as caught:
        result_text(make(), tool=declared)
    caught.match(rf"The result of {declared.reference} has no JSON form")


@pytest.mark.parametrize(("text", "size"), [("", 0), ("abc", 3), ("a€", 4)])
def test_the_size_is_counted_in_bytes(text: str, size: int) -> None:
    assert size_in_bytes(text) == size
