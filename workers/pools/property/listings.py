"""The listings: what is asked of the database, and what an answer is made of.

This module must not know tools. What it raises beyond `LookupError` is the database's.
"""

from collections.abc import Iterator
from typing import Final

from pydantic_settings import SettingsConfigDict

from workers.pools.database import Database, DatabaseSettings, Value, open_database
from workers.pools.property import sample, statements
from workers.pools.property.place import Place, near_matches, readings
from workers.pools.property.results import (
    NeighborhoodStats,
    Property,
    PropertyDetails,
    PropertySearch,
    PropertyType,
    TypeStats,
    ZipStats,
)

__all__ = ["Listings", "PropertySettings", "open_listings"]

_ZIPS_SHOWN: Final = 8


class PropertySettings(DatabaseSettings):
    """`TRUNKLINE_PROPERTY_DATABASE_URL`, `TRUNKLINE_DATA_DIR`: see `DatabaseSettings`."""

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_PROPERTY_")


def open_listings(settings: PropertySettings | None = None) -> "Listings":
    """The listings that `settings`, by default the environment's, name. Nothing is opened before the first question."""
    database = open_database(
        settings or PropertySettings(), file_name=sample.FILE_NAME, prepare=sample.prepare_sample_file
    )
    return Listings(database)


class Listings:
    """Questions to the table of listings."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def search(
        self,
        location: str,
        *,
        min_price: float | None,
        max_price: float | None,
        property_type: PropertyType | None,
        bedrooms: int | None,
        limit: int,
    ) -> PropertySearch:
        """Listings in `location` that fit; where none does, a hint."""
        filters: dict[str, Value] = {
            "min_price": min_price,
            "max_price": max_price,
            "property_type": property_type,
            "bedrooms": bedrooms,
            "limit": limit,
        }
        place = self._place_with_listings(location)
        if place is None:
            return PropertySearch(location=None, total=0, properties=[], hint=self._near(location))
        rows = self.database.run(statements.SEARCH, _values(place) | filters)
        if not rows:
            return PropertySearch(location=place.label, total=0, properties=[], hint=self._why_none(place))
        return PropertySearch(
            location=place.label,
            total=rows[0]["total"],
            properties=[Property.model_validate(row) for row in rows],
            source=rows[0]["source"],
        )

    def details(self, property_id: str) -> PropertyDetails:
        """One listing.

        Raises:
            LookupError: there is none with this id.
        """
        rows = self.database.run(statements.LISTING, {"id": property_id})
        if not rows:
            raise LookupError(property_id)
        row = rows[0]
        area = row["square_feet"]
        return PropertyDetails.model_validate(
            row | {"price_per_square_foot": round(row["price"] / area) if area else None}
        )

    def stats(self, location: str) -> NeighborhoodStats:
        """The market of `location`; where no listing is there, a hint."""
        place = self._place_with_listings(location)
        if place is None:
            return NeighborhoodStats(location=None, listings=0, hint=self._near(location))
        figures = self.database.run(statements.FIGURES, _values(place))[0]
        by_type = self.database.run(statements.FIGURES_BY_TYPE, _values(place))
        by_zip = self.database.run(statements.FIGURES_BY_ZIP, _values(place) | {"limit": _ZIPS_SHOWN})
        return NeighborhoodStats(
            location=place.label,
            by_type=[TypeStats.model_validate(row) for row in by_type],
            by_zip=[ZipStats.model_validate(row) for row in by_zip],
            **figures,
        )

    def _place_with_listings(self, location: str) -> Place | None:
        """The first reading of `location` that has listings."""
        for place in readings(location):
            if self.database.run(statements.ANY_LISTING_IN_PLACE, _values(place)):
                return place
        return None

    def _why_none(self, place: Place) -> str:
        figures = self.database.run(statements.FIGURES, _values(place))[0]
        lowest, highest = figures["lowest_price"], figures["highest_price"]
        return (
            f"None of the {figures['listings']} listings in {place.label} fits. "
            f"Prices there go from ${lowest:,} to ${highest:,}; widen the filters."
        )

    def _near(self, location: str) -> str:
        near = list(self._near_places(location))
        found = f"Near matches: {'; '.join(near)}." if near else "Try a city, such as 'Austin, TX', or a state."
        return f"No listings in {location!r}. {found}"

    def _near_places(self, location: str) -> Iterator[str]:
        for place in readings(location):
            if place.zip is not None:
                for row in self.database.run(statements.ZIPS_NEARBY, {"zip": place.zip, "limit": _ZIPS_SHOWN}):
                    yield row["zip"]
        cities = self.database.run(statements.CITIES)
        yield from near_matches(location, [(row["city"], row["state"]) for row in cities])


def _values(place: Place) -> dict[str, Value]:
    return {"city": place.city, "state": place.state, "zip": place.zip}
