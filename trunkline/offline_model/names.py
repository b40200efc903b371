"""Reads names from a text: places, people, languages and currencies, as far as spelling gives them away.

A capital letter makes a name; "City, ST" and postal codes make a place. This module must not know what a name is for.
"""

import re
from collections.abc import Iterator
from typing import Final

from trunkline.offline_model.mention import (
    MASK,
    Kind,
    Mention,
    begins_sentence,
    preposition_before,
    stems_before,
)
from trunkline.offline_model.quantities import CURRENCY_NAMES
from trunkline.offline_model.vocabulary import CLAUSE_OPENERS, STOP_WORDS
from trunkline.offline_model.words import word_set

LANGUAGES: Final = {
    "english": "en", "french": "fr", "german": "de", "spanish": "es", "italian": "it", "portuguese": "pt",
    "dutch": "nl", "polish": "pl", "russian": "ru", "ukrainian": "uk", "chinese": "zh", "mandarin": "zh",
    "japanese": "ja", "korean": "ko", "arabic": "ar", "hebrew": "he", "hindi": "hi", "turkish": "tr", "greek": "el",
    "swedish": "sv", "norwegian": "no", "danish": "da", "finnish": "fi", "czech": "cs", "hungarian": "hu",
    "romanian": "ro", "vietnamese": "vi", "thai": "th", "indonesian": "id", "latin": "la", "catalan": "ca",
}  # fmt: skip
_STATES = (
    "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA"
    " RI SC SD TN TX UT VT VA WA WV WI WY DC"
)
_STATE = "|".join(_STATES.split())
_LONG_STATE = (
    "Texas|California|Florida|New York|Washington|Oregon|Colorado|Arizona|Nevada|Georgia|Illinois|Massachusetts|Ohio"
    "|Michigan|Virginia|Utah|Tennessee|Pennsylvania|North Carolina|New Jersey|Minnesota|France|Germany|Spain|Italy|UK"
    "|USA|Canada|England|Japan|India|Australia|Mexico|Brazil"
)
_CAP = r"[A-ZÀ-ÖØ-Þ][\w'’.&-]*"
_STREET = (
    r"(?:St|Street|Ave|Avenue|Rd|Road|Blvd|Boulevard|Ln|Lane|Dr|Drive|Way|Ct|Court|Pl|Place|Sq|Square|Terrace)\b\.?"
)
_PLACE = re.compile(
    rf"(?P<street>\b\d+\s+(?:{_CAP}\s+){{0,3}}?{_STREET}(?:,\s*{_CAP}(?:\s{_CAP}){{0,2}}(?:,\s*(?:{_STATE})\b)?)?"
    r"(?:\s+\d{5}\b)?)"
    rf"|(?P<city>(?<![\w'’.&-]){_CAP}(?:\s{_CAP}){{0,3}}(?:,\s*(?:{_LONG_STATE}|[A-Z]{{2}})\b|\s+(?:{_STATE})\b)(?:\s+\d{{5}}\b)?)"
    rf"|(?P<lower>(?<=\bin )(?:[a-z]+ ){{0,2}}[a-z]+,\s*(?:{_STATE.lower()})\b)"
    r"|(?P<zip>(?:(?<=in )|(?<=near )|(?<=around )|(?<=zip )|(?<=code )|(?<=zipcode )|(?<=for ))\d{5}(?:-\d{4})?"
    r"(?![\w,.]\d|\w))"
)
_LANGUAGE = re.compile(rf"\b(?:{'|'.join(LANGUAGES)})\b", re.IGNORECASE)
_CURRENCY = re.compile(rf"(?<!\w)(?:{'|'.join(CURRENCY_NAMES)})(?!\w)", re.IGNORECASE)
_PROPER = re.compile(rf"(?<![\w.@/{MASK}]){_CAP}(?:(?:\s(?:of|de|la|the|von|van|da|del|di|and\sthe))?\s{_CAP})*")
#: Capitalised words that are no names; what is read elsewhere is masked already.
_NOT_NAMES = word_set(
    "i i'm i'd i'll i've usd eur gbp am pm url id api json html ok hi hello hey dear tv faq pdf sql celsius fahrenheit"
    " january february march april june july august september october november december"
)


def read_places(text: str) -> list[Mention]:
    """Street addresses, "City, ST" and postal codes of `text`."""
    return [_mention(Kind.PLACE, text, *match.span()) for match in _PLACE.finditer(_open_sentences(text))]


def read_names(text: str) -> list[Mention]:
    """Languages, currencies and other capitalised names of `text`, in order."""
    found: list[Mention] = []
    for reader in (_languages, _currencies, _propers):
        for mention in reader(text):
            if not any(m.start < mention.end and mention.start < m.end for m in found):
                found.append(mention)
    return sorted(found, key=lambda mention: mention.start)


def _open_sentences(text: str) -> str:
    """`text` with the capital of a request's first word made small, so that "Compare Austin, TX" is one place."""
    match = re.match(r"\s*([A-Z][a-z']*)\b", text)
    if match and (match[1].lower() in CLAUSE_OPENERS or match[1].lower() in STOP_WORDS):
        return text[: match.start(1)] + match[1].lower() + text[match.end(1) :]
    return text


def _languages(text: str) -> Iterator[Mention]:
    for match in _LANGUAGE.finditer(text):
        name = match.group().capitalize()
        yield _mention(Kind.LANGUAGE, text, *match.span(), value=name, code=LANGUAGES[name.lower()])


def _currencies(text: str) -> Iterator[Mention]:
    for match in _CURRENCY.finditer(text):
        code = CURRENCY_NAMES[match.group().lower()]
        yield _mention(Kind.CURRENCY, text, *match.span(), code=code)


def _propers(text: str) -> Iterator[Mention]:
    for match in _PROPER.finditer(text):
        start, end = match.span()
        words = match.group().split(" ")
        while words and _is_no_name(words[0], begins_sentence(text, start)):
            start += len(words[0]) + 1
            words.pop(0)
        while words and _is_no_name(words[-1], initial=False):
            end -= len(words[-1]) + 1
            words.pop()
        name = " ".join(words).rstrip(".,'’&-")
        if name.endswith(("'s", "’s")) and preposition_before(text, start) != "at":
            name = name[:-2]
        if name:
            yield _mention(Kind.PROPER, text, start, start + len(name))


def _is_no_name(word: str, initial: bool) -> bool:
    """Whether a capitalised word is none; amid a sentence even "Nice" and "Reading" are names."""
    plain = word.lower().rstrip(".,'’").replace("’", "'")
    if plain in _NOT_NAMES:
        return True
    return initial and (plain in STOP_WORDS or plain in CLAUSE_OPENERS or plain.removesuffix("'s") in CLAUSE_OPENERS)


def _mention(kind: Kind, text: str, start: int, end: int, *, value: str = "", code: str = "") -> Mention:
    return Mention(
        kind,
        start,
        end,
        value or text[start:end],
        before=stems_before(text, start),
        preposition=preposition_before(text, start),
        initial=begins_sentence(text, start),
        currency=code,
    )
