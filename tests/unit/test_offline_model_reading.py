"""What the offline model reads in a text: numbers, dates, literals, names, clauses."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.offline_model.clauses import MOST_CLAUSES, Form, read_mentions, read_utterance
from trunkline.offline_model.dates import moment_value, read_moments
from trunkline.offline_model.mention import Kind
from trunkline.offline_model.quantities import MOST_NUMBERS, read_quantities
from trunkline.offline_model.words import name_parts, stem

#: A Monday.
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("$500k", [500_000]),
        ("450,000", [450_000]),
        ("$1.2m", [1_200_000]),
        ("between 300k and 500k", [300_000, 500_000]),
        ("300-500k", [300_000, 500_000]),
        ("between $1 and $1.5 million", [1_000_000, 1_500_000]),
        ("6.5 percent", [6.5]),
        ("1.75m tall", [1.75]),
        ("twenty five", [25]),
        ("one hundred and twenty", [120]),
        ("a dozen eggs", [12]),
        ("3d6", [3, 6]),
        ("the 10th", [10]),
        ("10 - 3", [10, 3]),
        ("-4 degrees", [-4]),
        ("4, 8.5 and -3", [4, 8.5, -3]),
        ("this one", []),
        ("the first one", []),
        ("version v1.2", []),
    ],
)
def test_numbers_are_read_as_they_are_meant(text: str, numbers: list[float]) -> None:
    assert [mention.number for mention in read_quantities(text)] == numbers


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("under $600k", ["max"]),
        ("at most 5", ["max"]),
        ("less than 10", ["max"]),
        ("500 or less", ["max"]),
        ("maximum price of 600,000", ["max"]),
        ("my budget is $400k", ["max"]),
        ("at least 3 bedrooms", ["min"]),
        ("more than 5", ["min"]),
        ("2+ baths", ["min"]),
        ("3 or more", ["min"]),
        ("from 10 to 20", ["min", "max"]),
        ("over 30 years", [None]),
        ("a price of 5", [None]),
    ],
)
def test_a_number_knows_whether_it_is_a_lower_or_an_upper_bound(text: str, bounds: list[str | None]) -> None:
    assert [mention.bound for mention in read_quantities(text)] == bounds


def test_a_number_knows_what_it_counts() -> None:
    bedrooms, down, years = read_quantities("3-bedroom house, 20% down, 30 years")

    assert (bedrooms.unit[0], down.unit, years.unit) == (stem("bedrooms"), ("down",), ("year",))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("tomorrow at 3pm", "2026-11-24T15:00:00+00:00"),
        ("3:30 p.m. next Tuesday", "2026-12-01T15:30:00+00:00"),
        ("tonight at 8", "2026-11-23T20:00:00+00:00"),
        ("on Friday at 10:30", "2026-11-27T10:30:00+00:00"),
        ("next Friday", "2026-12-04"),
        ("Monday", "2026-11-30"),
        ("in 2 hours", "2026-11-23T12:00:00+00:00"),
        ("in 3 weeks", "2026-12-14"),
        ("3 days ago", "2026-11-20"),
        ("Nov 24", "2026-11-24"),
        ("March 5th", "2027-03-05"),
        ("24 December 2027 at noon", "2027-12-24T12:00:00+00:00"),
        ("12/24/2026", "2026-12-24"),
        ("24.12.2026", "2026-12-24"),
        ("2026-11-24T15:00", "2026-11-24T15:00:00+00:00"),
        ("2026-11-24T15:00:00-05:00", "2026-11-24T15:00:00-05:00"),
        ("the day after tomorrow", "2026-11-25"),
        ("5 o'clock", "17:00"),
        ("at 15:00", "15:00"),
    ],
)
def test_dates_and_times_are_read_relative_to_now(text: str, value: str) -> None:
    (mention,) = read_moments(text, NOW)

    assert mention.moment is not None
    assert moment_value(mention.moment, wants="any", now=NOW) == value


@pytest.mark.parametrize(
    "text", ["may I?", "march on", "24/7", "1/2 cup", "at 3 places", "31 February 2026", "mon ami"]
)
def test_what_only_looks_like_a_date_is_none(text: str) -> None:
    assert read_moments(text, NOW) == []


def test_the_day_said_once_holds_for_all_times_of_the_sentence() -> None:
    moments = [mention.moment for mention in read_moments("tomorrow from 3pm to 4pm", NOW)]

    assert [moment_value(moment, wants="datetime", now=NOW) for moment in moments if moment and moment.clock] == [
        "2026-11-24T15:00:00+00:00",
        "2026-11-24T16:00:00+00:00",
    ]


def test_a_date_without_a_time_is_no_moment_of_a_day() -> None:
    (mention,) = read_moments("tomorrow", NOW)

    assert mention.moment is not None
    assert moment_value(mention.moment, wants="datetime", now=NOW) is None


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ('reverse "hello world"', Kind.QUOTED, "hello world"),
        ("it's Bob's 'fine day'", Kind.QUOTED, "fine day"),
        ("run `ls -l` now", Kind.QUOTED, "ls -l"),
        ("see https://example.com/a?b=1.", Kind.URL, "https://example.com/a?b=1"),
        ("ping example.org", Kind.URL, "https://example.org"),
        ("mail ana@example.com, please", Kind.EMAIL, "ana@example.com"),
        ("call +1 512-555-0100", Kind.PHONE, "+1 512-555-0100"),
        ("read /etc/hosts", Kind.PATH, "/etc/hosts"),
        ("open notes.txt", Kind.PATH, "notes.txt"),
        ("order #A-1234", Kind.IDENTIFIER, "A-1234"),
        ("see prop_12", Kind.IDENTIFIER, "prop_12"),
        ("see austin-tx-010 again", Kind.IDENTIFIER, "austin-tx-010"),
        ("ask 10.0.0.7", Kind.IDENTIFIER, "10.0.0.7"),
        ("tell Bob that dinner is ready.", Kind.CONTENT, "dinner is ready"),
        ("mail him saying that I am late", Kind.CONTENT, "I am late"),
        ("in Austin, TX under", Kind.PLACE, "Austin, TX"),
        ("near 78704", Kind.PLACE, "78704"),
        ("at 12 Oak St, Austin, TX 78704", Kind.PLACE, "12 Oak St, Austin, TX 78704"),
        ("Compare Austin, TX", Kind.PLACE, "Austin, TX"),
        ("to New York City?", Kind.PROPER, "New York City"),
        ("in Nice", Kind.PROPER, "Nice"),
        ("into french", Kind.LANGUAGE, "French"),
        ('with {"a": 1}', Kind.JSON, '{"a": 1}'),
    ],
)
def test_what_is_given_by_letter_or_by_name_is_read(text: str, kind: Kind, value: str) -> None:
    assert value in [mention.text for mention in read_mentions(text, NOW) if mention.kind is kind]


@pytest.mark.parametrize("text", ["3-bedroom house", "20-sided die", "and/or", "500k", "a 30-year loan"])
def test_a_number_with_its_unit_is_no_identifier_and_no_path(text: str) -> None:
    kinds = {mention.kind for mention in read_mentions(text, NOW)}

    assert not kinds & {Kind.IDENTIFIER, Kind.PATH}


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("find houses in Austin, TX, and tell me about the area", 2),
        ("add 2 and 3", 1),
        ("add 2 and 3 and multiply 4 by 5", 2),
        ("Paris and London", 1),
        ("Find it. Send it; forget it", 3),
        ('say "one, and tell two"', 1),
        ("mail Bob saying stay, and tell nobody", 1),
        ("between 300k and 500k", 1),
    ],
)
def test_a_request_is_split_into_clauses_and_a_mention_is_not(text: str, clauses: int) -> None:
    assert len(read_utterance(text, now=NOW, tool_words={}, whole=True).clauses) == clauses


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("What's the weather in Paris?", Form.ASKS),
        ("weather in Paris", Form.ASKS),
        ("I'm looking for a house", Form.ASKS),
        ("I'd like a pizza", Form.ASKS),
        ("the weather in Paris", Form.MAY_ASK),
        ("How do I cancel an order?", Form.MAY_ASK),
        ("What is a mortgage?", Form.MAY_ASK),
        ("I live in Paris", Form.TELLS),
        ("The pizza was small", Form.TELLS),
        ("Don't send it", Form.TELLS),
    ],
)
def test_a_clause_asks_or_tells(text: str, form: Form) -> None:
    (clause,) = read_utterance(text, now=NOW, tool_words={}, whole=True).clauses

    assert clause.form is form


def test_a_long_pasted_text_is_one_content_and_is_not_taken_apart() -> None:
    pasted = "and then? " * 5000
    utterance = read_utterance(f"Translate this: {pasted}", now=NOW, tool_words={}, whole=True)

    assert [mention.text for mention in utterance.mentions if mention.kind is Kind.CONTENT] == [pasted.strip()]
    assert len(utterance.clauses) == 1


def test_no_more_clauses_and_numbers_are_read_than_anybody_means() -> None:
    utterance = read_utterance("1, 2. " * 5000, now=NOW, tool_words={}, whole=True)

    assert len(utterance.clauses) == MOST_CLAUSES
    assert len(utterance.mentions) == MOST_NUMBERS


@pytest.mark.parametrize(
    "words",
    [
        "translate translation translating translator",
        "calculate calculation calculator",
        "schedule scheduled scheduling schedules",
        "multiply multiplication multiplied",
        "property properties",
        "neighbourhood neighborhoods",
        "amortize amortization",
        "afford affordability affordable",
        "convert conversion converter",
        "bed beds bedroom bedrooms",
        "statistics stats",
    ],
)
def test_related_words_have_one_stem(words: str) -> None:
    assert len({stem(word) for word in words.split()}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("state", "stats"), ("county", "country"), ("pay", "payment"), ("not", "notes"), ("weather", "whether")],
)
def test_words_that_only_look_related_have_two_stems(one: str, other: str) -> None:
    assert stem(one) != stem(other)


@pytest.mark.parametrize("name", ["get_http_weather", "getHTTPWeather", "get-http-weather", "GetHttpWeather"])
def test_identifiers_of_every_style_have_the_same_parts(name: str) -> None:
    assert name_parts(name) == ("get", "http", "weather")


@settings(deadline=None)  # a loaded machine is no fault
@given(st.text(max_size=200))
def test_no_text_breaks_the_reading(text: str) -> None:
    utterance = read_utterance(text, now=NOW, tool_words={}, whole=True)

    for mention in utterance.mentions:
        assert 0 <= mention.start < mention.end <= len(text)
