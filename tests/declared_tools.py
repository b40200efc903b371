"""Two declared tools, one with all policies and one with all types, and a way to declare what types would not allow."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

from annotated_types import Ge
from pydantic import BaseModel

from workers.context import ToolContext
from workers.tool import Retries, Tool, tool


class Kind(Enum):
    HOUSE = "house"
    FLAT = "flat"


class Area(BaseModel):
    title: str
    zip_codes: list[str] = []


@dataclass
class Window:
    start: date
    end: date


@tool(
    pool="property",
    version="1.2.0",
    effect="read",
    timeout=timedelta(seconds=5),
    permissions={"property:read", "property:list"},
    cache=timedelta(minutes=5),
    retries=Retries(max_attempts=4, backoff=timedelta(milliseconds=250), max_backoff=timedelta(seconds=2)),
)
def search_properties(
    location: Annotated[str, "City, state or zip code"],
    min_price: Annotated[float | None, "Minimum price in USD", Ge(0)] = None,
    limit: int = 10,
    *,
    context: ToolContext,
) -> list[str]:
    """Search for properties by location and price.

    Prefer a zip code where there is one.

    Args:
        location: This text loses against the annotation.
        limit (int): How many
            at most.
        context: Not for the model.

    Returns:
        Not for the model either.
    """
    context.raise_if_cancelled()
    return [f"{location} {min_price} {limit}"]


@tool(pool="shapes", effect="read")
def with_every_type(
    kind: Kind,
    order: Literal["up", "down"],
    day: date,
    price: Decimal,
    area: Area,
    window: Window,
    tags: set[int],
    title: str | None = None,
) -> str:
    """Take one of each."""
    return f"{kind} {order} {day} {price} {area} {window} {tags} {title}"


def declare(function: Callable[..., Any], **policies: Any) -> Tool[..., Any]:
    """Declare with policies that a type checker would refuse."""
    return tool(**{"pool": "property", "description": "Does something.", **policies})(function)
