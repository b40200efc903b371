"""Writes JSON values for people: numbers with separators, money, percentages, records as short lines.

How a number is written is told from the name of its field. This module must not know tools or conversations.
"""

import re
from collections.abc import Mapping
from typing import Final

from trunkline.offline_model.json_values import Json
from trunkline.offline_model.words import name_parts, word_set

#: Longest list, widest record and longest text that are written out.
MOST_RECORDS: Final = 10
MOST_FIELDS: Final = 10
LONGEST_TEXT: Final = 600
_LONGEST_FIELD: Final = 160
_SMALL_RECORD: Final = 3

_TITLES: Final = ("title", "name", "address", "label", "headline", "subject", "summary")
_VERBATIM: Final = word_set("year zip zipcode postal id phone code lat latitude lng lon longitude port built number no")
_PERCENT: Final = word_set("percent percentage pct")
_RATE: Final = word_set("rate yield growth")
_MONEY: Final = word_set(
    "price cost payment payments amount principal balance income salary rent fee fees value total interest debt debts"
    " loan budget tax taxes insurance deposit paid equity usd"
)
_DECIMAL = re.compile(r"^-?\d+\.\d+$")
_TIMESTAMP = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?$")
_COUNTS: Final = word_set("count listings sales days months years number score index rating results sqft size bedrooms")


def field_text(name: str, value: Json, *, sign: str = "") -> str:
    """`value` as the field called `name` is best written; `sign` is the sign of its currency, if any."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number_text(name, value, sign)
    if isinstance(value, str):
        if _DECIMAL.match(value):
            return _number_text(name, float(value), sign)
        return shortened(_TIMESTAMP.sub(_timestamp_text, value), _LONGEST_FIELD)
    if isinstance(value, list):
        texts = [field_text(name, item, sign=sign) for item in value[:8]]
        return ", ".join(texts) + (f" and {len(value) - 8} more" if len(value) > 8 else "")
    if isinstance(value, dict):
        return ", ".join(f"{words_of(key)} {field_text(key, item, sign=sign)}" for key, item in value.items())
    return "none"


def result_lines(value: Json, *, sign: str = "") -> list[str]:
    """A result as lines: the first continues the caller's sentence, the others stand below it."""
    if isinstance(value, list):
        return _list_lines(value, sign)
    if isinstance(value, dict):
        sign = _currency_sign(value) or sign
        lists = {key: item for key, item in value.items() if _is_records(item)}
        plain = {key: item for key, item in value.items() if key not in lists and item not in (None, [], {}, "")}
        lines = [_fields_text(plain, sign, most=2 * MOST_FIELDS)] if plain else []
        for key, item in lists.items():
            head, *rest = _list_lines(item if isinstance(item, list) else [], sign, inside=True)
            lines.extend([f"{words_of(key)}: {head}" if lines or len(lists) > 1 else head, *rest])
        if not lines:
            return ["no results" if value else "nothing"]
        return lines
    if isinstance(value, str):
        return [shortened(value, LONGEST_TEXT)] if value.strip() else ["nothing"]
    return ["done"] if value is None else [field_text("", value, sign=sign)]


def record_text(record: Mapping[str, Json], *, sign: str = "") -> str:
    """One record on one line: its title, then its fields, its id last."""
    sign = _currency_sign(record) or sign
    title = next((key for key in _TITLES if isinstance(record.get(key), str)), None)
    rest = {key: value for key, value in record.items() if key not in (title, "id") and value not in (None, "", [], {})}
    ids = [key for key in rest if name_parts(key)[-1:] == ("id",)]
    fields = {key: value for key, value in rest.items() if key not in ids}
    parts = [shortened(str(record[title]), _LONGEST_FIELD)] if title else []
    parts.append(_fields_text(fields, sign, most=MOST_FIELDS))
    own = [str(record["id"])] if record.get("id") is not None else [str(record[key]) for key in ids[:1]]
    return " · ".join(part for part in parts if part) + (f" [{own[0]}]" if own else "")


def words_of(name: str) -> str:
    """`max_price` as "max price"."""
    return " ".join(name_parts(name)) or name


def shortened(text: str, longest: int) -> str:
    """`text` on one line, cut at `longest` characters."""
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _list_lines(value: list[Json], sign: str, *, inside: bool = False) -> list[str]:
    """A list as its count and a line for each record; small records inside a result share one line."""
    if not value:
        return ["no results"]
    if not _is_records(value):
        return [field_text("", value, sign=sign)]
    shown = [record for record in value[:MOST_RECORDS] if isinstance(record, dict)]
    more = len(value) - len(shown)
    if inside and all(len(record) <= _SMALL_RECORD for record in shown):
        return ["; ".join(_small_text(record, sign) for record in shown) + (f"; and {more} more" if more else "")]
    count = f"{len(value)} result{'s' if len(value) > 1 else ''}"
    lines = [f"  {index}. {record_text(record, sign=sign)}" for index, record in enumerate(shown, start=1)]
    return [count, *lines, *([f"  … and {more} more"] if more else [])]


def _small_text(record: Mapping[str, Json], sign: str) -> str:
    """A record of a few fields, its leading text without a label: "condo, listings 7"."""
    parts = [
        str(value) if index == 0 and isinstance(value, str) else f"{words_of(key)} {field_text(key, value, sign=sign)}"
        for index, (key, value) in enumerate(record.items())
    ]
    return ", ".join(parts)


def _is_records(value: Json) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _fields_text(fields: Mapping[str, Json], sign: str, *, most: int) -> str:
    shown = list(fields.items())[:most]
    return " · ".join(f"{words_of(key)} {field_text(key, value, sign=sign)}" for key, value in shown)


def _number_text(name: str, value: float, sign: str) -> str:
    parts = frozenset(name_parts(name))
    if parts & _VERBATIM:
        return str(value)
    whole = float(value).is_integer()
    number = f"{value:,.0f}" if whole else f"{value:,.2f}"
    if abs(value) < 0.1 and not whole:
        number = f"{value:.4g}"
    if parts & _PERCENT or (parts & _RATE and abs(value) <= 100):
        return f"{number.rstrip('0').rstrip('.') if '.' in number else number}%"
    counted = isinstance(value, int) and parts <= {"total", "payments", "value", "amount"}
    if parts & _MONEY and not parts & _COUNTS and not counted:
        own = "$" if "usd" in parts else sign
        return f"-{own}{number[1:]}" if number.startswith("-") else f"{own}{number}"
    return number.rstrip("0").rstrip(".") if "." in number else number


def _timestamp_text(match: re.Match[str]) -> str:
    zone = {"Z": " UTC", "+00:00": " UTC", None: ""}.get(match[3], f" {match[3]}")
    return f"{match[1]} {match[2]}{zone}"


def _currency_sign(record: Mapping[str, Json]) -> str:
    signs = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}
    code = record.get("currency")
    return signs.get(code, "") if isinstance(code, str) else ""
