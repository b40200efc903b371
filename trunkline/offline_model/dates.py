"""Reads dates and times of day from a text, relative to a given moment; and writes them as a parameter wants them.

"tomorrow at 3pm", "next Friday", "in 2 hours", "Nov 24", "2026-11-24T15:00". The clock is never read here: `now` is
an argument. What is read a certain way although it could be another: "Friday" is the coming one, "next Friday" that of
the next calendar week, a bare hour from 1 to 7 after a date is in the afternoon, and 3/4/2026 is March the 4th.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Final

from trunkline.offline_model.mention import MASK, Kind, Mention, Moment, preposition_before, stems_before

_WEEKDAYS: Final = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_MONTHS: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_SHORT_DAY = r"Mon|Tues?|Wed|Thurs?|Thur|Fri"
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_COUNT = r"(?P<count>\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten)"
_COUNTS: Final = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10,
}  # fmt: skip

_Reading = Callable[[re.Match[str], datetime], Moment | None]


def _iso(match: re.Match[str], now: datetime) -> Moment | None:
    try:
        day = date.fromisoformat(match["iso"])
        return Moment(day, time.fromisoformat(match["clock"]) if match["clock"] else None)
    except ValueError:
        return None


def _numeric(match: re.Match[str], now: datetime) -> Moment | None:
    first, second, year = int(match["first"]), int(match["second"]), int(match["year"])
    european = match["dot"] == "." or first > 12
    return _day(year, second if european else first, first if european else second)


def _named_month(match: re.Match[str], now: datetime) -> Moment | None:
    month = _MONTHS.index(match["month"].lower()[:3]) + 1
    if match["year"]:
        return _day(int(match["year"]), month, int(match["day"]))
    coming = _day(now.year, month, int(match["day"]))
    if coming and coming.day and coming.day < now.date():
        return _day(now.year + 1, month, int(match["day"]))
    return coming


def _named_day(match: re.Match[str], now: datetime) -> Moment | None:
    shifts = {"today": 0, "tonight": 0, "tomorrow": 1, "yesterday": -1}
    word = match.group().lower()
    return Moment(now.date() + timedelta(days=2 if word.startswith("the day after") else shifts[word]), None)


def _weekday(match: re.Match[str], now: datetime) -> Moment | None:
    index = next(i for i, name in enumerate(_WEEKDAYS) if name.startswith(match["weekday"].lower()[:3]))
    today, which = now.date(), (match["which"] or "").lower()
    if which == "next":
        return Moment(today + timedelta(days=7 - today.weekday() + index), None)
    if which == "last":
        return Moment(today - timedelta(days=(today.weekday() - index - 1) % 7 + 1), None)
    return Moment(today + timedelta(days=(index - today.weekday() - 1) % 7 + 1), None)


def _from_now(match: re.Match[str], now: datetime) -> Moment | None:
    count = _COUNTS.get(match["count"].lower()) or int(match["count"])
    unit, sign = match["unit"].lower(), -1 if match["ago"] else 1
    if count > 100_000:
        return None
    if unit.startswith(("min", "hour")):
        then = now + sign * timedelta(minutes=count * (60 if unit.startswith("h") else 1))
        return Moment(then.date(), then.time().replace(second=0, microsecond=0))
    if unit.startswith(("day", "week")):
        return Moment(now.date() + sign * timedelta(days=count * (7 if unit.startswith("w") else 1)), None)
    months = sign * count * (12 if unit.startswith("year") else 1) + now.month - 1
    return _day(now.year + months // 12, months % 12 + 1, min(now.day, 28))


def _next_unit(match: re.Match[str], now: datetime) -> Moment | None:
    unit, today = match["unit"].lower(), now.date()
    if unit == "week":
        return Moment(today + timedelta(days=7 - today.weekday()), None)
    if unit == "weekend":
        shift = 7 if match["which"].lower() == "next" else 0
        return Moment(today + timedelta(days=(5 - today.weekday()) % 7 + shift), None)
    return _day(now.year + now.month // 12, now.month % 12 + 1, 1)


def _clock(match: re.Match[str], now: datetime) -> Moment | None:
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    half = match["half"].replace(".", "").lower()
    if not 1 <= hour <= 12:
        return None
    return Moment(None, time(hour % 12 + (12 if half == "pm" else 0), minute))


def _clock_24(match: re.Match[str], now: datetime) -> Moment | None:
    return Moment(None, time(int(match["hour"]), int(match["minute"])))


def _clock_word(match: re.Match[str], now: datetime) -> Moment | None:
    return Moment(None, time(12 if match.group().lower() == "noon" else 0))


def _full_hour(match: re.Match[str], now: datetime) -> Moment | None:
    hour = int(match["hour"])
    return Moment(None, time(hour + 12 if 1 <= hour <= 7 else hour % 24)) if hour <= 24 else None


_YEAR = r"(?:,?\s+(?P<year>(?:19|20)\d\d))?"
_PATTERNS: Final[tuple[tuple[re.Pattern[str], _Reading], ...]] = tuple(
    (re.compile(rf"(?<![\w.]){pattern}(?!\w)", 0 if exact else re.IGNORECASE), reading)
    for pattern, reading, exact in (
        (
            r"(?P<iso>\d{4}-\d\d-\d\d)(?:[T ](?P<clock>\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?))?",
            _iso,
            False,
        ),
        (r"(?P<first>\d{1,2})(?P<dot>[/.])(?P<second>\d{1,2})[/.](?P<year>\d{4})", _numeric, False),
        (rf"{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?!\s*(?:,\d|%|[ap]m)){_YEAR}", _named_month, False),
        (rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}{_YEAR}", _named_month, False),
        (r"the day after tomorrow|today|tonight|tomorrow|yesterday", _named_day, False),
        (rf"(?:(?P<which>this|next|coming|last)\s+)?(?P<weekday>{'|'.join(_WEEKDAYS)})", _weekday, False),
        (rf"(?:(?P<which>[Tt]his|[Nn]ext|[Ll]ast)\s+)?(?P<weekday>{_SHORT_DAY})", _weekday, True),
        (rf"in\s+{_COUNT}\s+(?P<unit>minutes?|mins?|hours?|days?|weeks?|months?|years?)(?P<ago>)", _from_now, False),
        (
            rf"{_COUNT}\s+(?P<unit>minutes?|hours?|days?|weeks?|months?|years?)\s+(?:from\s+now|(?P<ago>ago))",
            _from_now,
            False,
        ),
        (r"(?P<which>this|next)\s+(?P<unit>weekend)", _next_unit, False),
        (r"(?P<which>next)\s+(?P<unit>week|month)", _next_unit, False),
        (r"(?P<hour>\d{1,2})(?::(?P<minute>[0-5]\d))?\s?(?P<half>[ap]\.?m\b\.?)", _clock, False),
        (r"(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?::[0-5]\d)?", _clock_24, False),
        (r"(?P<hour>\d{1,2})\s?o['’]?clock", _full_hour, False),
        (r"noon|midnight", _clock_word, False),
    )
)
_BARE_HOUR = re.compile(
    r"\s*,?\s*(?:at|@)\s+(?P<hour>\d{1,2})(?![\w:%]|[.,]\d|\s*(?:%|percent|[ap]\.?m))", re.IGNORECASE
)
_JOIN = re.compile(rf"[\s,{MASK}]*(?:(?:at|on|@|by|around|in the (?:morning|afternoon|evening))[\s,]*)?", re.IGNORECASE)


def read_moments(text: str, now: datetime) -> list[Mention]:
    """Every date and time of `text`, in order; a date and a time next to each other are one moment."""
    found: list[Mention] = []
    for pattern, reading in _PATTERNS:
        for match in pattern.finditer(text):
            if any(m.start < match.end() and match.start() < m.end for m in found):
                continue
            moment = reading(match, now)
            if moment is not None:
                found.append(_mention(text, match.start(), match.end(), moment))
    found.sort(key=lambda mention: mention.start)
    return _with_days(list(_joined(text, [_with_bare_hour(text, mention) for mention in found])))


def moment_value(moment: Moment, *, wants: str, now: datetime) -> str | None:
    """`moment` in ISO 8601 as a date, a time or a date-time; None if it does not say enough.

    Args:
        moment: What was read.
        wants: `date`, `time`, `datetime`, or `any` for as much as is known.
        now: Gives a bare time its day, and a date-time its UTC offset, if `now` has one.
    """
    day, clock = moment.day, moment.clock
    if wants == "date":
        return day.isoformat() if day else None
    if wants == "time":
        return clock.isoformat("minutes") if clock else None
    if clock is None:
        return day.isoformat() if wants == "any" and day else None
    if day is None:
        if wants == "any":
            return clock.isoformat("minutes")
        day = now.date() if clock > now.time() else now.date() + timedelta(days=1)
    return datetime.combine(day, clock, tzinfo=clock.tzinfo or now.tzinfo).isoformat()


def _day(year: int, month: int, day: int) -> Moment | None:
    try:
        return Moment(date(year, month, day), None)
    except ValueError:
        return None


def _mention(text: str, start: int, end: int, moment: Moment) -> Mention:
    return Mention(
        Kind.MOMENT,
        start,
        end,
        text[start:end],
        moment=moment,
        before=stems_before(text, start),
        preposition=preposition_before(text, start),
    )


def _with_bare_hour(text: str, mention: Mention) -> Mention:
    """ "tomorrow at 3": the hour counts only because a date stands before it."""
    moment = mention.moment
    match = _BARE_HOUR.match(text, mention.end)
    if match is None or moment is None or moment.day is None or moment.clock is not None:
        return mention
    hour = int(match["hour"])
    if hour > 24:
        return mention
    afternoon = 1 <= hour <= 7 or ("night" in mention.text.lower() and hour < 12)
    clock = time((hour + 12 if afternoon else hour) % 24)
    return replace(mention, end=match.end(), text=text[mention.start : match.end()], moment=Moment(moment.day, clock))


def _with_days(mentions: list[Mention]) -> list[Mention]:
    """Gives bare times the day that the sentence names once: "tomorrow from 3pm to 4pm"."""
    days = {m.moment.day for m in mentions if m.moment and m.moment.day}
    if len(days) != 1:
        return mentions
    day = days.pop()
    return [
        replace(m, moment=Moment(day, m.moment.clock)) if m.moment and m.moment.day is None else m for m in mentions
    ]


def _joined(text: str, mentions: list[Mention]) -> Iterator[Mention]:
    pending: Mention | None = None
    for mention in mentions:
        if pending is not None:
            both = _union(text, pending, mention)
            if both is not None:
                pending = both
                continue
            yield pending
        pending = mention
    if pending is not None:
        yield pending


def _union(text: str, one: Mention, other: Mention) -> Mention | None:
    first, second = one.moment, other.moment
    if first is None or second is None or not _JOIN.fullmatch(text[one.end : other.start]):
        return None
    if (first.day and second.day) or (first.clock and second.clock):
        return None
    moment = Moment(first.day or second.day, first.clock or second.clock)
    return replace(one, end=other.end, text=text[one.start : other.end], moment=moment)
