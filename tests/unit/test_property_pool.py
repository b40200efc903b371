"""The property pool: what a location means, what a search answers, and how the sample comes to be."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from workers.errors import ArgumentsRejected, ToolFailed
from workers.pools.database import DatabaseMisconfigured, StatementRefused
from workers.pools.property import tools
from workers.pools.property.listings import Listings, PropertySettings, open_listings
from workers.pools.property.place import Place, near_matches, readings
from workers.pools.property.results import PropertySearch, PropertyType
from workers.pools.property.sample import FILE_NAME, SOURCE, generated_listings
from workers.pools.property.sample_cities import SAMPLE_CITIES

_IN_SAMPLE: Final = 60 * len(SAMPLE_CITIES)


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> Listings:
    return open_listings(PropertySettings(data_dir=tmp_path_factory.mktemp("data")))


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The environment of a worker with a data folder of its own."""
    monkeypatch.setenv("TRUNKLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("TRUNKLINE_PROPERTY_DATABASE_URL", raising=False)
    tools._listings.cache_clear()
    yield tmp_path / "data"
    tools._listings.cache_clear()


def search(
    listings: Listings,
    location: str,
    *,
    min_price: float | None = None,
    max_price: float | None = None,
    property_type: PropertyType | None = None,
    bedrooms: int | None = None,
    limit: int = 50,
) -> PropertySearch:
    return listings.search(
        location,
        min_price=min_price,
        max_price=max_price,
        property_type=property_type,
        bedrooms=bedrooms,
        limit=limit,
    )


# What a location means


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("Austin, TX", Place(city="austin", state="TX")),
        ("  austin ,tx ", Place(city="austin", state="TX")),
        ("AUSTIN TX", Place(city="austin", state="TX")),
        ("Austin, Texas, USA", Place(city="austin", state="TX")),
        ("Charleston, South Carolina", Place(city="charleston", state="SC")),
        ("salt lake city utah", Place(city="salt lake city", state="UT")),
        ("Denver, CO, United States of America", Place(city="denver", state="CO")),
        ("Denver, CO, U.S.A.", Place(city="denver", state="CO")),
        ("Washington DC", Place(city="washington", state="DC")),
        ("Portland", Place(city="portland")),
        ("TX", Place(state="TX")),
        ("Washington state", Place(state="WA")),
        ("78701", Place(zip="78701")),
        ("78701-1234", Place(zip="78701")),
        ("Austin, TX 78701", Place(zip="78701")),
        ("nyc", Place(city="new york", state="NY")),
        ("St Louis", Place(city="st. louis")),
    ],
)
def test_the_likeliest_reading_of_a_location_comes_first(location: str, expected: Place) -> None:
    assert readings(location)[0] == expected


def test_a_name_of_a_state_is_a_city_first_and_the_state_where_no_such_city_is() -> None:
    assert readings("New York") == [Place(city="new york"), Place(state="NY")]


@pytest.mark.parametrize("location", ["", "  ", ",", " , , "])
def test_a_location_without_words_has_no_reading(location: str) -> None:
    assert readings(location) == []


def test_near_matches_are_cities_and_states_that_are_spelled_alike() -> None:
    known = [("Austin", "TX"), ("Boston", "MA"), ("Portland", "OR"), ("Portland", "ME")]
    assert near_matches("Bostn", known) == ["Boston, MA"]
    assert near_matches("portlnd", known) == ["Portland, OR", "Portland, ME"]
    assert near_matches("Teksas", known) == ["Texas"]
    assert near_matches("Xyzzy", known) == []


# What a search answers


@pytest.mark.parametrize(
    ("location", "label", "total"),
    [
        ("Austin, TX", "Austin, TX", 60),
        ("austin", "Austin", 60),
        ("PORTLAND", "Portland", 120),
        ("portland, maine", "Portland, ME", 60),
        ("New York", "New York", 60),
        ("New York, NY", "New York, NY", 60),
        ("NY", "all of New York", 180),
        ("Saint Louis", "St. Louis", 60),
        ("texas", "all of Texas", 360),
        ("Kansas City", "Kansas City", 120),
        ("Kansas", "all of Kansas", 60),
    ],
)
def test_a_location_finds_its_listings(listings: Listings, location: str, label: str, total: int) -> None:
    found = search(listings, location)
    assert (found.location, found.total) == (label, total)


def test_a_zip_code_finds_only_its_own_listings(listings: Listings) -> None:
    found = search(listings, "78704")
    assert found.total > 0
    assert {home.zip for home in found.properties} == {"78704"}


def test_every_filter_narrows_the_search(listings: Listings) -> None:
    every = search(listings, "Seattle")
    fits = search(
        listings, "Seattle", min_price=400_000, max_price=1_200_000, property_type="house", bedrooms=3, limit=50
    )
    assert 0 < fits.total < every.total
    for home in fits.properties:
        assert 400_000 <= home.price <= 1_200_000
        assert home.property_type == "house"
        assert home.bedrooms >= 3


def test_the_cheapest_listings_come_first_and_no_more_than_the_limit(listings: Listings) -> None:
    found = search(listings, "Denver", limit=7)
    prices = [home.price for home in found.properties]
    assert len(prices) == 7
    assert prices == sorted(prices)
    assert found.total == 60


def test_an_unknown_location_is_answered_with_near_matches_and_is_no_error(listings: Listings) -> None:
    found = search(listings, "Seatle, WA")
    assert (found.location, found.total, found.properties) == (None, 0, [])
    assert found.hint == "No listings in 'Seatle, WA'. Near matches: Seattle, WA."


def test_an_unknown_zip_code_is_answered_with_its_neighbours(listings: Listings) -> None:
    hint = search(listings, "78799").hint
    assert hint is not None
    assert "78701" in hint


def test_filters_that_nothing_fits_are_answered_with_what_there_is(listings: Listings) -> None:
    found = search(listings, "Austin, TX", max_price=1_000)
    assert (found.location, found.total) == ("Austin, TX", 0)
    assert found.hint is not None
    assert found.hint.startswith("None of the 60 listings in Austin, TX fits. Prices there go from $")


@pytest.mark.parametrize("location", ["'; DROP TABLE properties; --", "Austin' OR '1'='1", "%", "_____", "Austin%"])
def test_sql_in_a_location_is_only_a_strange_name(listings: Listings, location: str) -> None:
    assert search(listings, location).total == 0
    assert search(listings, "Austin").total == 60


# The market of a place


def test_the_statistics_of_a_place_agree_with_its_listings(listings: Listings) -> None:
    stats = listings.stats("Boise, ID")
    rows = sorted(
        (row for row in generated_listings() if row["city"] == "Boise"), key=lambda row: int(str(row["price"]))
    )
    prices = [int(str(row["price"])) for row in rows]
    assert stats.listings == len(prices) == 60
    assert stats.lowest_price == prices[0]
    assert stats.highest_price == prices[-1]
    assert stats.median_price == pytest.approx((prices[29] + prices[30]) / 2, abs=0.5)
    assert stats.average_price == pytest.approx(sum(prices) / 60, abs=0.5)
    assert sum(kind.listings for kind in stats.by_type) == 60
    assert sum(of_zip.listings for of_zip in stats.by_zip) == 60


def test_the_statistics_of_a_state_show_only_the_zip_codes_with_the_most_listings(listings: Listings) -> None:
    stats = listings.stats("California")
    assert stats.location == "all of California"
    assert len(stats.by_zip) == 8


def test_the_statistics_of_an_unknown_place_are_empty_and_hint_at_near_matches(listings: Listings) -> None:
    stats = listings.stats("Chikago")
    assert (stats.location, stats.listings, stats.median_price) == (None, 0, None)
    assert stats.hint == "No listings in 'Chikago'. Near matches: Chicago, IL."


# One listing


def test_a_listing_is_found_by_its_id_and_says_that_it_is_of_a_sample(listings: Listings) -> None:
    home = search(listings, "Tampa, FL", limit=1).properties[0]
    details = listings.details(home.id)
    assert home.model_dump().items() <= details.model_dump().items()
    assert details.price_per_square_foot == round(details.price / details.square_feet)
    assert details.source == SOURCE
    assert "not real" in SOURCE


# The sample


def test_the_sample_is_the_same_every_time() -> None:
    assert list(generated_listings()) == list(generated_listings())
    first = next(generated_listings())
    assert (first["id"], first["price"]) == ("albuquerque-nm-001", 382_000)


def test_the_sample_is_thousands_of_plausible_listings() -> None:
    rows = list(generated_listings())
    assert len(rows) == _IN_SAMPLE > 4_000
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert 45_000 <= int(str(row["price"])) <= 10_000_000
        assert len(str(row["zip"])) == 5


_OPEN_WHEN_TOLD = """
import sys
from workers.pools.property.listings import open_listings
listings = open_listings()
print("ready", flush=True)
sys.stdin.readline()
print(listings.stats("TX").listings, listings.database.run("SELECT COUNT(*) AS n FROM properties")[0]["n"], flush=True)
"""


def _environment(data_dir: Path) -> dict[str, str]:
    return {**os.environ, "TRUNKLINE_DATA_DIR": str(data_dir), "PYTHONPATH": str(Path(__file__).parents[2])}


def test_processes_that_start_at_the_same_time_share_one_complete_sample(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _OPEN_WHEN_TOLD]
    processes = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment(tmp_path / "new")
        )
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate()[0] for process in processes]
    assert answers == [f"360 {_IN_SAMPLE}\n"] * 6
    assert [file.name for file in (tmp_path / "new").iterdir()] == [FILE_NAME]


_DIE_HALFWAY = """
import os
from workers.pools.property import sample
from workers.pools.property.listings import open_listings
every = sample.generated_listings
def half():
    for number, row in enumerate(every()):
        if number == 4000:
            os._exit(9)
        yield row
sample.generated_listings = half
open_listings().stats("TX")
"""


def test_a_process_killed_while_it_makes_the_sample_leaves_nothing_half_done(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", _DIE_HALFWAY], env=_environment(tmp_path), check=False)
    assert ended.returncode == 9
    assert (tmp_path / FILE_NAME).exists()
    assert not sqlite3.connect(tmp_path / FILE_NAME).execute("SELECT * FROM sqlite_master").fetchall()

    found = open_listings(PropertySettings(data_dir=tmp_path)).database.run("SELECT COUNT(*) AS n FROM properties")
    assert found == [{"n": _IN_SAMPLE}]


# Through the tools


def test_the_tools_answer_from_the_data_folder_of_the_environment(data_dir: Path) -> None:
    found = tools.search_properties("Miami, FL", max_price=500_000, limit=2)
    assert found.source == SOURCE
    assert tools.get_property(found.properties[0].id).city == "Miami"
    assert tools.neighborhood_stats("33130").location == "33130"
    assert (data_dir / FILE_NAME).exists()


def test_an_unknown_id_is_a_failure_that_says_where_ids_come_from(data_dir: Path) -> None:
    with pytest.raises(ToolFailed, match=r"There is no property .nowhere-1.\. Ids come from"):
        tools.get_property("nowhere-1")


def test_the_model_is_told_types_limits_and_descriptions() -> None:
    schema = tools.search_properties.specification.parameters
    assert schema["required"] == ["location"]
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert list(properties) == ["location", "min_price", "max_price", "property_type", "bedrooms", "limit"]
    assert all(isinstance(entry, dict) and entry.get("description") for entry in properties.values())


@pytest.mark.parametrize(
    "arguments",
    [
        {"location": ""},
        {"location": "a\x00b"},
        {"location": "x" * 101},
        {"location": "Austin", "min_price": -1},
        {"location": "Austin", "property_type": "castle"},
        {"location": "Austin", "limit": 51},
    ],
)
def test_arguments_beyond_reason_are_rejected(arguments: dict[str, object]) -> None:
    with pytest.raises(ArgumentsRejected):
        tools.search_properties.validate_arguments(arguments)


# Settings


def test_a_sqlite_url_names_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_PROPERTY_DATABASE_URL", f"sqlite://{tmp_path}/own/listings.db")
    assert open_listings().stats("Ohio").listings == 180
    assert (tmp_path / "own" / "listings.db").exists()


@pytest.mark.parametrize("url", ["mysql://localhost/x", "listings.db", "sqlite://relative.db", "postgresql"])
def test_a_url_of_no_known_database_is_a_clear_mistake(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("TRUNKLINE_PROPERTY_DATABASE_URL", url)
    with pytest.raises(DatabaseMisconfigured, match=r"postgresql://… or sqlite:///"):
        open_listings()


def test_a_folder_that_cannot_be_made_is_a_clear_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatabaseMisconfigured, match="set TRUNKLINE_DATA_DIR"):
        open_listings(PropertySettings(data_dir=tmp_path / "file")).stats("TX")


def test_a_missing_driver_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_PROPERTY_DATABASE_URL", "postgresql://localhost/x")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "workers.pools.database.postgresql", raising=False)
    with pytest.raises(DatabaseMisconfigured, match=r"pip install 'trunkline\[postgres\]'"):
        open_listings()


def test_a_file_that_is_no_database_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("a diary, not a database; " * 100)
    with pytest.raises(StatementRefused, match="not a database"):
        open_listings(PropertySettings(data_dir=tmp_path)).stats("TX")
    assert (tmp_path / FILE_NAME).read_text().startswith("a diary")


def test_importing_the_pool_touches_no_file(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", "import workers.pools.property"], env=_environment(tmp_path / "none"), check=True
    )
    assert not (tmp_path / "none").exists()
