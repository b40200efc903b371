"""What a parameter is for, told from its name, its description and its schema.

A role says which mentions of a text may fill the parameter. This module must not look at any text.
"""

from enum import StrEnum
from typing import Final, Literal

from trunkline.offline_model.mention import Bound
from trunkline.offline_model.words import word_set

Direction = Literal["from", "to"]


class Role(StrEnum):
    """The sort of value a parameter takes."""

    ENUM = "enum"
    BOOLEAN = "boolean"
    OBJECT = "object"
    ARRAY = "array"
    MONEY = "money"
    PERCENT = "percent"
    YEAR = "year"
    DURATION = "duration"
    COUNT = "count"
    NUMBER = "number"
    EMAIL = "email"
    RECIPIENT = "recipient"
    URL = "url"
    HOST = "host"
    PHONE = "phone"
    PATH = "path"
    MOMENT = "moment"
    TIMEZONE = "timezone"
    PLACE = "place"
    LANGUAGE = "language"
    CURRENCY = "currency"
    UNIT = "unit"
    SYMBOL = "symbol"
    EXPRESSION = "expression"
    IDENTIFIER = "identifier"
    PERSON = "person"
    TITLE = "title"
    QUERY = "query"
    TEXT = "text"


#: Roles that take running text.
WORDED: Final = frozenset({Role.TEXT, Role.QUERY, Role.TITLE})

#: Seconds in each unit of time a parameter may be measured in; keys are stems.
TIME_UNITS: Final = {
    "m": 0.001, "millisecond": 0.001, "second": 1.0, "minut": 60.0, "min": 60.0, "hour": 3600.0, "day": 86400.0,
    "week": 604800.0, "month": 2629800.0, "year": 31557600.0,
}  # fmt: skip

#: Stems of other units of measure.
MEASURES: Final = frozenset(
    {"kg", "cm", "km", "meter", "foot", "lb", "m", "g", "mile", "degre", "gram", "liter", "inch"}
)

_MONEY = word_set(
    "price cost amount budget income salary payment value debt debts rent fee fees total principal loan balance usd"
    " dollars eur revenue wage deposit mortgage bill tip savings expenses spend cash money subtotal"
)
_PERCENT = word_set("percent percentage pct rate interest apr discount margin share ratio tax vat")
_DURATION = word_set("duration delay interval timeout wait term period minutes seconds hours days")
_COUNT = word_set(
    "count n num number quantity qty limit size times amount max_results results top k repeat copies rolls many"
)
_PLACES = word_set(
    "city location place address town country state region area zip zipcode postal postcode destination origin airport"
    " neighborhood neighbourhood venue restaurant street county district where departure arrival station"
)
_MOMENTS = word_set(
    "date day when deadline due datetime start end time begin checkin checkout departure arrival at until since"
    " birthday birthdate timestamp expires starts ends"
)
_PERSONS = word_set(
    "person customer guest attendee contact client patient employee author artist buyer seller owner user assignee"
    " participant host speaker student visitor"
)
_TRAVEL: Final = word_set(
    "route routes directions trip travel distance drive navigate flight flights journey commute train"
)
_STRING_ROLES: Final[tuple[tuple[frozenset[str], Role], ...]] = (
    (frozenset({"email", "mail"}), Role.EMAIL),
    (frozenset({"url", "uri", "link", "href", "website", "webpage"}), Role.URL),
    (frozenset({"host", "hostname", "domain", "server", "ip"}), Role.HOST),
    (frozenset({"timezone", "tz", "zone"}), Role.TIMEZONE),
    (frozenset({"phone", "tel", "telephone", "mobile", "cell"}), Role.PHONE),
    (frozenset({"currency", "currencies"}), Role.CURRENCY),
    (frozenset({"language", "languages", "lang", "locale"}), Role.LANGUAGE),
    (frozenset({"unit", "units", "uom"}), Role.UNIT),
    (frozenset({"symbol", "ticker", "tickers", "symbols"}), Role.SYMBOL),
    (frozenset({"expression", "formula", "equation", "expr"}), Role.EXPRESSION),
    (frozenset({"path", "filename", "file", "directory", "folder", "filepath"}), Role.PATH),
)
_FORMATS: Final = {
    "email": Role.EMAIL, "uri": Role.URL, "url": Role.URL, "uri-reference": Role.URL, "date": Role.MOMENT,
    "date-time": Role.MOMENT, "time": Role.MOMENT, "uuid": Role.IDENTIFIER,
}  # fmt: skip
_IDENTIFIERS = frozenset({"id", "ids", "uuid", "sku", "ref", "reference", "guid", "isbn", "barcode", "vin"})
_RECIPIENTS = frozenset({"to", "recipient", "recipients", "cc", "bcc", "receiver", "addressee"})
_QUERIES = frozenset(
    {"query", "q", "question", "search", "keyword", "keywords", "topic", "term", "terms", "prompt", "about"}
)
_TITLES = frozenset({"title", "name", "subject", "label", "headline", "called", "heading"})
_MIN_PARTS = frozenset({"min", "minimum", "lower", "least", "low", "lowest", "floor"})
_MAX_PARTS = frozenset({"max", "maximum", "upper", "most", "high", "highest", "ceiling", "cap", "budget"})
_FROM_PARTS = frozenset({"from", "source", "src", "origin", "start", "departure", "base", "begin", "sender", "checkin"})
_TO_PARTS = frozenset(
    {"to", "target", "destination", "dest", "dst", "end", "arrival", "into", "until", "recipient", "quote", "checkout"}
)


def number_role(parts: tuple[str, ...], description: str) -> Role:
    """The role of a numeric parameter named by `parts`."""
    names, described = frozenset(parts), frozenset(description.lower().replace("%", " percent ").split())
    if names & {"percent", "percentage", "pct"}:
        return Role.PERCENT
    if names & {"season", "vintage"}:
        return Role.YEAR
    if "year" in names and not names & {"per", "years"}:
        return Role.YEAR
    if names & {"years", "months", "weeks", "days", "hours", "minutes", "seconds", "ms"} or names & _DURATION:
        return Role.DURATION
    if names & (_IDENTIFIERS - {"ref", "reference"}):
        return Role.IDENTIFIER
    if names & {"count", "quantity", "qty", "limit", "number", "num", "size"} or parts in (("n",), ("k",)):
        return Role.COUNT
    if names & _PERCENT and not names & {"amount", "payment"}:
        return Role.PERCENT
    if names & _MONEY or described & {"usd", "dollars", "eur", "price", "currency"}:
        return Role.MONEY
    return Role.COUNT if names & _COUNT else Role.NUMBER


def string_role(parts: tuple[str, ...], description: str, text_format: str) -> Role:
    """The role of a string parameter named by `parts`."""
    if text_format in _FORMATS:
        return _FORMATS[text_format]
    names = frozenset(parts) | {_singular(part) for part in parts}
    last = parts[-1] if parts else ""
    if last in _IDENTIFIERS or (last in {"number", "no", "code"} and len(parts) > 1 and not names & _PLACES):
        return Role.IDENTIFIER
    for words, role in _STRING_ROLES:
        if names & words:
            return role
    if names & {"address"} and "mail" in description.lower():
        return Role.EMAIL
    return _worded_role(parts, names, description.lower())


def _worded_role(parts: tuple[str, ...], names: frozenset[str], description: str) -> Role:
    last = parts[-1] if parts else ""
    if last in _RECIPIENTS or (parts[:1] == ("to",) and names & {"address", "name", "user"}):
        return Role.PLACE if _is_travel(description) else Role.RECIPIENT
    if names & {"from"} and _is_travel(description):
        return Role.PLACE
    if names & _PLACES and not names & {"time", "date", "name"} - ({"name"} if names & {"city", "place"} else set()):
        return Role.PLACE
    if names & _MOMENTS and "times" not in names:
        return Role.MOMENT
    if names & {"first", "last", "full"} and "name" in names:
        return Role.PERSON
    if names & _PERSONS or (parts == ("name",) and any(word in description for word in ("person", "who ", "guest"))):
        return Role.PERSON
    if names & _QUERIES:
        return Role.QUERY
    return Role.TITLE if names & _TITLES else Role.TEXT


def bound_of(parts: tuple[str, ...]) -> Bound | None:
    """Whether a numeric parameter is the lower or the upper end of something."""
    if _MIN_PARTS & frozenset(parts):
        return "min"
    return "max" if _MAX_PARTS & frozenset(parts) else None


def direction_of(parts: tuple[str, ...]) -> Direction | None:
    """Whether a parameter is where something comes from or where it goes."""
    if _FROM_PARTS & frozenset(parts):
        return "from"
    return "to" if _TO_PARTS & frozenset(parts) else None


def _singular(part: str) -> str:
    return part[:-3] + "y" if part.endswith("ies") else part.removesuffix("s")


def is_about_travel(text: str) -> bool:
    """Whether a tool of this name and description is about getting from one place to another."""
    return bool(_TRAVEL & frozenset(text.lower().replace("_", " ").replace(".", " ").split()))


def is_end_of_travel(parts: tuple[str, ...], role: Role) -> bool:
    """Whether, in a tool about travel, a parameter that looks like a moment or a person is where one goes."""
    named = parts in (("start",), ("end",), ("from",), ("to",), ("begin",))
    return named and role in (Role.MOMENT, Role.RECIPIENT, Role.TEXT)


def _is_travel(description: str) -> bool:
    return any(word in description for word in ("city", "airport", "place", "location", "depart", "destination"))
