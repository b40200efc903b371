"""What the property tools answer. Prices are whole USD. This module must not know where rows come from."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = [
    "NeighborhoodStats",
    "Property",
    "PropertyDetails",
    "PropertySearch",
    "PropertyType",
    "TypeStats",
    "ZipStats",
]


PropertyType = Literal["house", "townhouse", "condo", "apartment", "multi_family"]
"""What kind of home may be searched for. A database of the operator's own may have more."""


class _Result(BaseModel):
    # Rows may have more columns than an answer shows, in a database of the operator's own too.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Property(_Result):
    """A listing, as a search shows it."""

    id: str
    address: str
    city: str
    state: str
    zip: str
    property_type: str
    price: int
    bedrooms: int
    bathrooms: float
    square_feet: int
    days_on_market: int


class PropertyDetails(Property):
    """A listing with all that is known about it."""

    lot_square_feet: int | None
    year_built: int | None
    monthly_fee: int | None
    """What an owners' association asks."""
    price_per_square_foot: int | None
    source: str


class PropertySearch(_Result):
    """Listings that fit, the cheapest first."""

    location: str | None
    """How the location was understood; None if no listing is there."""
    total: int
    """How many listings fit, of which `properties` shows the first."""
    properties: list[Property]
    hint: str | None = None
    """What to try when nothing fits."""
    source: str | None = None
    """Where the listings come from; the sample says here that it is one."""


class TypeStats(_Result):
    """The listings of one type in a place."""

    property_type: str
    listings: int
    average_price: int


class ZipStats(_Result):
    """The listings of one zip code in a place."""

    zip: str
    listings: int
    average_price: int


class NeighborhoodStats(_Result):
    """The market of a place. The figures are None where no listing is."""

    location: str | None
    """How the location was understood; None if no listing is there."""
    listings: int
    median_price: int | None = None
    average_price: int | None = None
    lowest_price: int | None = None
    highest_price: int | None = None
    median_price_per_square_foot: int | None = None
    median_days_on_market: int | None = None
    by_type: list[TypeStats] = []
    by_zip: list[ZipStats] = []
    """The zip codes with the most listings."""
    hint: str | None = None
    """What to try when nothing is there."""
    source: str | None = None
    """Where the listings come from; the sample says here that it is one."""
