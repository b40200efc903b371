"""The sample: a few thousand generated listings in real US cities. None of them is a real listing.

Each city is seeded by itself, so that every machine has the same listings, and a new city changes no other.
A SQLite file gets them from its first user; into a PostgreSQL database `python -m workers.pools.property` puts them.
"""

import random
from collections.abc import Iterator
from typing import Final

from workers.pools.database import Database, Value
from workers.pools.property import statements
from workers.pools.property.sample_cities import SAMPLE_CITIES, SampleCity

__all__ = ["FILE_NAME", "SOURCE", "generated_listings", "load_sample", "prepare_sample_file"]

SOURCE: Final = "Trunkline sample (generated, not real listings)"
#: The number goes up with every change of what is generated, so that old and new processes can share a folder.
FILE_NAME: Final = "property-sample-1.sqlite3"

#: Of SQLite alone: one row if the table is there.
_TABLE_EXISTS: Final = "SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = 'properties'"

_SEED: Final = "trunkline"
_LISTINGS_PER_CITY: Final = 60

#: Of each type: its share, bedrooms from and to, square feet without bedrooms and for each of them, price factor.
_TYPES: Final = {
    "house": (0.48, 2, 5, 500, 420, 1.0),
    "townhouse": (0.16, 2, 4, 450, 380, 0.96),
    "condo": (0.18, 1, 3, 380, 330, 0.98),
    "apartment": (0.12, 0, 3, 420, 280, 0.94),
    "multi_family": (0.06, 4, 8, 700, 360, 0.82),
}
_STREET_NAMES: Final = (
    "Alder Ash Birch Cedar Cherry Chestnut Clover Dogwood Elm Fairview Forest Garden Grove Hazel Hickory Highland "
    "Juniper Lake Laurel Linden Locust Magnolia Maple Meadow Mill Mulberry Oak Orchard Park Pine Poplar Ridge River "
    "Spring Spruce Summit Sycamore Valley Walnut Willow"
)
_STREET_KINDS: Final = ("St", "Ave", "Rd", "Dr", "Ln", "Ct", "Pl", "Way")


def generated_listings() -> Iterator[dict[str, Value]]:
    """The rows of the sample, the same in every process."""
    for city in SAMPLE_CITIES:
        # Not a secret and not to be one: the same seed must give the same listings.
        dice = random.Random(f"{_SEED}/{city.name}/{city.state}")  # noqa: S311
        level = {code: dice.uniform(0.82, 1.25) for code in city.zips.split()}
        for number in range(1, _LISTINGS_PER_CITY + 1):
            yield _listing(dice, city, level, number)


def load_sample(database: Database) -> None:
    """Put table and sample into `database` if it has no listings. Atomic: others see nothing or everything."""
    with database.transaction():
        for statement in statements.TABLE:
            database.run(statement)
        if not database.run(statements.ANY_LISTING):
            database.run_many(statements.ADD_LISTING, generated_listings())


def prepare_sample_file(database: Database) -> None:
    """Put table and sample into a fresh SQLite file. Where they are already, this takes no lock."""
    if not database.run(_TABLE_EXISTS):
        load_sample(database)


def _listing(dice: random.Random, city: SampleCity, level: dict[str, float], number: int) -> dict[str, Value]:
    kind = dice.choices(list(_TYPES), [shape[0] for shape in _TYPES.values()])[0]
    _, fewest, most, bare_area, area_per_bedroom, type_factor = _TYPES[kind]
    bedrooms = dice.randint(fewest, most)
    area = round((bare_area + area_per_bedroom * bedrooms) * dice.uniform(0.85, 1.3) / 10) * 10
    zip_code = dice.choice(list(level))
    year_built = 2025 - round(dice.triangular(0, 110, 35))
    wear = 1.06 - 0.0012 * (2025 - year_built)
    price = city.price_per_square_foot * area * type_factor * level[zip_code] * wear * dice.lognormvariate(0, 0.14)
    has_fee = kind in ("condo", "apartment", "townhouse")
    address = f"{dice.randint(100, 9899)} {dice.choice(_STREET_NAMES.split())} {dice.choice(_STREET_KINDS)}"
    if kind in ("condo", "apartment"):
        address += f" #{dice.randint(1, 24)}{dice.choice('ABCD')}"
    slug = city.name.lower().replace(".", "").replace(" ", "-")
    return {
        "id": f"{slug}-{city.state.lower()}-{number:03}",
        "address": address,
        "city": city.name,
        "state": city.state,
        "zip": zip_code,
        "property_type": kind,
        "price": max(45_000, round(price / 1000) * 1000 - dice.choice((0, 0, 100, 500))),
        "bedrooms": bedrooms,
        "bathrooms": max(1.0, round(bedrooms * dice.uniform(0.55, 0.95) * 2) / 2),
        "square_feet": area,
        "lot_square_feet": round(area * dice.uniform(2.0, 7.0), -2) if kind in ("house", "multi_family") else None,
        "year_built": year_built,
        "monthly_fee": round(area * dice.uniform(0.15, 0.55) / 5) * 5 if has_fee else None,
        "days_on_market": round(dice.expovariate(1 / 34)),
        "source": SOURCE,
    }
