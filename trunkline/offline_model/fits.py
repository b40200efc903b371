"""How well a mention that is no number fits a parameter, and what value it gives.

This module must not choose among mentions; it judges one pair at a time.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from trunkline.offline_model.dates import moment_value
from trunkline.offline_model.json_values import Json
from trunkline.offline_model.mention import Kind, Mention
from trunkline.offline_model.offered import OfferedTool, Parameter
from trunkline.offline_model.roles import WORDED, Role
from trunkline.offline_model.timezones import timezone_of
from trunkline.offline_model.words import word_set

#: What a required parameter gets for the right type alone, and an optional one must exceed.
REQUIRED_BONUS: Final = 0.3
OPTIONAL_THRESHOLD: Final = 0.8


@dataclass(frozen=True, slots=True)
class Fit:
    """A value a mention gives to a parameter. One mention may serve several parameters with different facets."""

    score: float
    value: Json
    facet: str = "whole"


_BODIES = word_set("body message text content note description sentence phrase comment input prompt")
_PLACE_PARTS = re.compile(
    r"^(?P<city>[^,\d]+?),?\s+(?P<state>[A-Z]{2}|[A-Z][a-z]+(?:\s[A-Z][a-z]+)?)?(?:\s*(?P<zip>\d{5}))?$"
)


def fit_mention(parameter: Parameter, mention: Mention, *, tool: OfferedTool, now: datetime) -> Fit | None:
    """How well `mention`, which is no number, fills the string `parameter` of `tool`; None if it cannot."""
    reader = _READERS.get(mention.kind)
    fit = reader(parameter, mention, tool, now) if reader else None
    if fit is None:
        return None
    return Fit(fit.score + named_before(parameter, mention), fit.value, fit.facet)


def named_before(parameter: Parameter, mention: Mention) -> float:
    """A bonus if the parameter's name stands directly before the mention ("city Paris")."""
    return 0.5 if mention.before and mention.before[-1] in parameter.stems else 0.0


def _simple(*roles: tuple[Role, float]) -> Callable[[Parameter, Mention, OfferedTool, datetime], Fit | None]:
    scores = dict(roles)

    def fit(parameter: Parameter, mention: Mention, tool: OfferedTool, now: datetime) -> Fit | None:
        score = scores.get(parameter.role)
        return Fit(score, mention.text) if score is not None else None

    return fit


def _email(parameter: Parameter, mention: Mention, tool: OfferedTool, now: datetime) -> Fit | None:
    if parameter.role is Role.EMAIL:
        return _directed(parameter, mention, Fit(2.0, mention.text))
    if parameter.role is Role.RECIPIENT:
        return Fit(1.8, mention.text)
    if parameter.role is Role.PERSON and "name" not in parameter.parts:
        return Fit(0.9, mention.text) if not any(p.role is Role.EMAIL for p in tool.parameters) else None
    fits = "email" in parameter.description.lower() or "e-mail" in parameter.description.lower()
    return Fit(1.0, mention.text) if fits else None


def _identifier(parameter: Parameter, mention: Mention, tool: OfferedTool, now: datetime) -> Fit | None:
    if mention.text.lower() in tool.parts:
        return None
    if parameter.role is Role.HOST:
        return Fit(1.5, mention.text)
    if parameter.role is not Role.IDENTIFIER:
        return Fit(0.9, mention.text) if parameter.role in WORDED and parameter.required else None
    entity = parameter.stems - {"id", "number", "code"}
    named = bool(entity & set(mention.before[-3:]))
    prefix = re.match(r"[A-Za-z]+", mention.text)
    related = prefix is not None and any(word.startswith(prefix.group().lower()) for word in entity)
    return Fit(1.5 + named + 0.5 * related, mention.text)


def _url(parameter: Parameter, mention: Mention, tool: OfferedTool, now: datetime) -> Fit | None:
    if parameter.role is Role.HOST:
        return Fit(1.8, urlsplit(mention.text).hostname)
    scores = {Role.URL: 2.0, Role.QUERY: 0.4, Role.TEXT: 0.4}
    score = scores.get(parameter.role)
    return Fit(score, mention.text) if score is not None else None


def _moment(parameter: Parameter, mention: Mention, tool: OfferedTool, now: datetime) -> Fit | None:
    if parameter.role is not Role.MOMENT or mention.moment is None:
        return None
    wants = _wanted(parameter, tool)
    value = moment_value(mention.moment, wants=wants, now=now)
    if value is None:
        return None
    if parameter.schema.get("format") == "date-time" and "T" not in value:
        return None
    facet = wants if wants in ("date", "time") else "whole"
    return _directed(parameter, mention, Fit(1.2, value, facet))


def _wanted(parameter: Parameter, tool: OfferedTool) -> str:
    declared = parameter.schema.get("format")
    if declared in ("date", "time"):
        return str(declared)
    if declared == "date-time":
        return "datetime"
    parts, described = set(parameter.parts), parameter.description.lower()
    others = {part for other in tool.parameters if other is not parameter for part in other.parts}
    if "time" in parts and "date" not in parts:
        only_clock = bool(others & {"date", "day"}) or "hh:mm" in described
        return "time" if only_clock else "any"
    if parts & {"date", "day", "birthday", "birthdate"} or "yyyy-mm-dd" in described.replace("hh:mm", ""):
        return "date" if "time" not in parts and "hh" not in described else "any"
    return "any"


def _place(parameter: Parameter, mention: Mention, tool: OfferedTool, now: datetime) -> Fit | None:
    if parameter.role is Role.TIMEZONE:
        return _timezone(parameter, mention, tool, now)
    if parameter.role is Role.QUERY and parameter.required:
        return Fit(0.4, mention.text)
    if parameter.role is not Role.PLACE:
        return None
    return _directed(parameter, mention, _place_part(parameter, mention.text, tool))


def _place_part(parameter: Parameter, text: str, tool: OfferedTool) -> Fit | None:
    """The part of "Austin, TX 78704" that `parameter` asks for."""
    parts = set(parameter.parts)
    if parts & {"zip", "zipcode", "postal", "postcode"}:
        code = re.search(r"\b\d{5}(?:-\d{4})?$", text)
        return Fit(2.0, code.group(), "zip") if code else None
    if text[:5].isdigit():
        return Fit(1.5, text) if not parts & {"city", "state", "country", "town"} else None
    split = _PLACE_PARTS.match(text)
    if "country" in parts:
        return None if split and split["state"] and len(split["state"]) == 2 else Fit(1.0, text)
    if "state" in parts:
        return Fit(2.0, split["state"], "state") if split and split["state"] else None
    has_state = any({"state", "country"} & set(other.parts) for other in tool.parameters if other is not parameter)
    if has_state and split and split["state"] and parts & {"city", "town"}:
        return Fit(2.0, split["city"], "city")
    return Fit(2.0, text)


def _proper(parameter: Parameter, mention: Mention, tool: OfferedTool, now: datetime) -> Fit | None:
    preposition, score = mention.preposition, 0.0
    match parameter.role:
        case Role.PLACE:
            score = {
                "in": 1.6,
                "near": 1.6,
                "around": 1.6,
                "at": 1.4,
                "to": 1.3,
                "from": 1.3,
                "of": 1.2,
                "for": 1.2,
            }.get(preposition, 0.0 if preposition in ("with", "by", "named") else 0.9)
        case Role.PERSON:
            score = {"for": 1.2, "to": 1.1, "with": 1.3, "by": 1.4, "named": 1.5, "called": 1.4, "is": 1.2}.get(
                preposition, 0.0 if preposition in ("in", "at", "near") else 0.85
            )
        case Role.RECIPIENT:
            score = {"to": 1.0, "for": 0.7}.get(preposition, 0.6 if not preposition else 0.0)
        case Role.TIMEZONE:
            return _timezone(parameter, mention, tool, now)
        case Role.SYMBOL:
            score = 1.6 if mention.text.isupper() and len(mention.text) <= 5 else 0.4
        case Role.TITLE:
            score = {"named": 1.2, "called": 1.2, "of": 1.0, "about": 1.0, "": 0.85}.get(preposition, 0.0)
        case Role.CURRENCY:
            score = 0.9 if mention.text.isupper() and len(mention.text) == 3 else 0.0
        case _:
            return None
    if score == 0.0:
        return None
    if mention.initial:
        score -= 0.5
    return _directed(parameter, mention, Fit(score, mention.text))


def _timezone(parameter: Parameter, mention: Mention, tool: OfferedTool, now: datetime) -> Fit | None:
    zone = timezone_of(mention.text)
    return Fit(1.2, zone) if zone else Fit(0.5, mention.text)


def _language(parameter: Parameter, mention: Mention, tool: OfferedTool, now: datetime) -> Fit | None:
    if parameter.role is not Role.LANGUAGE:
        return None
    description = parameter.description.lower()
    short = (
        parameter.schema.get("maxLength") in (2, "2")
        or "iso" in description
        or "code" in (description.split() + list(parameter.parts))
    )
    return _directed(parameter, mention, Fit(1.5, mention.currency if short else mention.text))


def _currency(parameter: Parameter, mention: Mention, tool: OfferedTool, now: datetime) -> Fit | None:
    about_currency = "currenc" in tool.description.lower() and parameter.role is Role.TEXT and parameter.required
    about_currency = about_currency and not any(other.role is Role.CURRENCY for other in tool.parameters)
    if parameter.role is not Role.CURRENCY and not about_currency:
        return None
    return _directed(parameter, mention, Fit(1.5, mention.currency))


def _quoted(parameter: Parameter, mention: Mention, tool: OfferedTool, now: datetime) -> Fit | None:
    if parameter.type not in ("string", "any"):
        return None
    if parameter.role in WORDED:
        return Fit(1.4 if parameter.required else 1.0, mention.text)
    loose = {Role.PERSON: 0.9, Role.PLACE: 0.8, Role.IDENTIFIER: 1.0, Role.SYMBOL: 0.8, Role.EXPRESSION: 1.0,
             Role.PATH: 1.0, Role.UNIT: 0.5}  # fmt: skip
    score = loose.get(parameter.role)
    return Fit(score, mention.text) if score else None


def _content(parameter: Parameter, mention: Mention, tool: OfferedTool, now: datetime) -> Fit | None:
    if parameter.role not in WORDED or parameter.type not in ("string", "any"):
        return None
    return Fit(2.0 if _BODIES & set(parameter.parts) else 0.5 + 0.5 * parameter.required, mention.text)


def _directed(parameter: Parameter, mention: Mention, fit: Fit | None) -> Fit | None:
    """Minds from and to: "from Paris to Rome" fits origin and destination only one way."""
    if fit is None or parameter.direction is None:
        return fit
    leads = {"from": "from", "between": "from", "starting": "from", "start": "from"}
    leads |= {"to": "to", "into": "to", "until": "to", "till": "to", "in": "to"}
    said = leads.get(mention.preposition)
    if said is None:
        return fit
    if said != parameter.direction:
        return Fit(fit.score - 0.6, fit.value, fit.facet) if mention.preposition == "in" else None
    return Fit(fit.score + 0.6, fit.value, fit.facet)


_READERS: Final[dict[Kind, Callable[[Parameter, Mention, OfferedTool, datetime], Fit | None]]] = {
    Kind.EMAIL: _email,
    Kind.URL: _url,
    Kind.PHONE: _simple((Role.PHONE, 2.0), (Role.RECIPIENT, 1.2)),
    Kind.PATH: _simple((Role.PATH, 2.0), (Role.TEXT, 0.4)),
    Kind.IDENTIFIER: _identifier,
    Kind.MOMENT: _moment,
    Kind.PLACE: _place,
    Kind.PROPER: _proper,
    Kind.LANGUAGE: _language,
    Kind.CURRENCY: _currency,
    Kind.QUOTED: _quoted,
    Kind.CONTENT: _content,
}
