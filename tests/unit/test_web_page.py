"""How the web pool reads a page: its characters, its text, and pages that are made to waste time."""

import pytest

from workers.pools.web.body import text_of
from workers.pools.web.page import read_page


@pytest.mark.parametrize(
    ("body", "charset", "expected"),
    [
        ("Käse".encode("latin-1"), "iso-8859-1", "Käse"),
        (b'<meta charset="windows-1252">K\xe4se', None, '<meta charset="windows-1252">Käse'),
        ("Käse".encode(), None, "Käse"),
        ("Käse".encode(), "no-such-charset", "Käse"),
        ("Käse".encode(), "punycode", "Käse"),
        ("Käse".encode(), "zip", "Käse"),
        (b"K\xe4se", "utf-8", "K�se"),
    ],
)
def test_a_body_becomes_text_by_a_charset_of_the_web(body: bytes, charset: str | None, expected: str) -> None:
    assert text_of(body, charset=charset) == expected


@pytest.mark.parametrize("unit", ["<a ", "<a b='", "<a/", "<!--", "<a b=c ", "<a b=\"x\" c='y' "])
def test_a_tag_without_end_is_given_up_instead_of_being_read_again_and_again(unit: str) -> None:
    page = read_page(
        "<p>before</p>" + unit * (1_000_000 // len(unit)), most_characters=1_000, out_of_time=lambda: False
    )
    assert page.text == "before"
    assert not page.complete


def test_reading_a_page_stops_when_time_is_up() -> None:
    asked = 0

    def out_of_time() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    page = read_page("<p>x</p>\n" * 100_000, most_characters=1_000_000, out_of_time=out_of_time)
    assert 0 < len(page.text) < 100_000
    assert not page.complete


def test_a_large_script_in_a_page_hides_nothing_behind_it() -> None:
    page = read_page(
        "<script>" + "var a = '<p>'; " * 50_000 + "</script><p>after", most_characters=100, out_of_time=lambda: False
    )
    assert (page.text, page.complete) == ("after", True)
