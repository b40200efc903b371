"""The tools of the property pool. This module must not know SQL."""

from datetime import timedelta
from functools import cache
from typing import Annotated, Final

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import StringConstraints

from workers.errors import ToolFailed
from workers.pools.property.listings import Listings, open_listings
from workers.pools.property.results import NeighborhoodStats, PropertyDetails, PropertySearch, PropertyType
from workers.tool import tool

__all__ = ["get_property", "neighborhood_stats", "search_properties"]

_TIMEOUT: Final = timedelta(seconds=5)
_FRESH_FOR: Final = timedelta(minutes=5)

#: What a database could not take, or nobody would type.
_NO_CONTROLS: Final = StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")

Location = Annotated[
    str,
    "City, state or zip code, such as 'Austin, TX', 'Portland', 'Texas' or '78701'",
    MinLen(1),
    MaxLen(100),
    _NO_CONTROLS,
]
PropertyId = Annotated[str, "Id of a property, as search_properties returns it", MinLen(1), MaxLen(100), _NO_CONTROLS]


@tool(
    pool="property",
    version="1.2.0",
    effect="read",
    timeout=_TIMEOUT,
    permissions={"property:read"},
    cache=_FRESH_FOR,
)
def search_properties(
    location: Location,
    min_price: Annotated[float | None, "Minimum price in USD", Ge(0)] = None,
    max_price: Annotated[float | None, "Maximum price in USD", Ge(0)] = None,
    property_type: Annotated[PropertyType | None, "Kind of home"] = None,
    bedrooms: Annotated[int | None, "Minimum number of bedrooms", Ge(0), Le(20)] = None,
    limit: Annotated[int, "Most listings to return", Ge(1), Le(50)] = 10,
) -> PropertySearch:
    """Search for properties for sale by location, price range and type; the cheapest come first.

    Unless the operator has connected a database, these are generated sample listings; `source` says which.
    """
    return _listings().search(
        location,
        min_price=min_price,
        max_price=max_price,
        property_type=property_type,
        bedrooms=bedrooms,
        limit=limit,
    )


@tool(
    pool="property",
    version="1.0.0",
    effect="read",
    timeout=_TIMEOUT,
    permissions={"property:read"},
    cache=_FRESH_FOR,
)
def get_property(
    property_id: PropertyId,
) -> PropertyDetails:
    """Get everything known about one property by its id: size, year built, fees, price per square foot."""
    try:
        return _listings().details(property_id)
    except LookupError as error:
        raise ToolFailed(f"There is no property {property_id!r}. Ids come from search_properties.") from error


@tool(
    pool="property",
    version="1.0.0",
    effect="read",
    timeout=_TIMEOUT,
    permissions={"property:read"},
    cache=_FRESH_FOR,
)
def neighborhood_stats(location: Location) -> NeighborhoodStats:
    """Get housing market statistics of a zip code, city or state: median prices, price per square foot, days on market.

    Unless the operator has connected a database, they are of generated sample listings; `source` says which.
    """
    return _listings().stats(location)


@cache
def _listings() -> Listings:
    return open_listings()
