"""Prices come from a file; a mistake in it is named."""

from pathlib import Path

import pytest

from telemetry.errors import InvalidPrices
from telemetry.metrics.prices import Prices, read_prices


def write(folder: Path, text: str) -> Path:
    file = folder / "prices.toml"
    file.write_text(text)
    return file


def test_a_call_costs_what_its_tokens_cost(tmp_path: Path) -> None:
    prices = read_prices(write(tmp_path, '[models."m-1"]\ninput = 0.25\noutput = 2\n'))
    assert prices.currency == "USD"
    assert prices.cost("m-1", input_tokens=1_000_000, output_tokens=500_000) == 1.25
    assert prices.cost("m-2", input_tokens=1, output_tokens=1) is None


def test_nothing_has_a_price_without_a_file() -> None:
    assert Prices().cost("m-1", input_tokens=1, output_tokens=1) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models = ", "cannot be read"),
        ('currency = "euro"\n[models]', "currency"),
        ("[models.m]\ninput = 1\n", "models.m.output"),
        ("[models.m]\ninput = -1\noutput = 1\n", "models.m.input"),
        ("[models.m]\ninput = '1'\noutput = 1\n", "models.m.input"),
        ("[models.m]\ninput = 1\noutput = 1\ncached = 1", "models.m.cached"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidPrices, match=said):
        read_prices(write(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidPrices, match=r"nowhere\.toml.*TRUNKLINE_PRICES_FILE"):
        read_prices(tmp_path / "nowhere.toml")
