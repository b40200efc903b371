"""Reads what a text gives letter by letter: quotations, URLs, e-mail addresses, paths, ids, JSON, dictated content.

This module must not know what any of it is for.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Final

from trunkline.offline_model.mention import (
    MASK,
    Kind,
    Mention,
    begins_sentence,
    preposition_before,
    stems_before,
)

_QUOTED = re.compile(
    r"```(?:\w+\n)?(?P<block>.+?)```|`(?P<code>[^`\n]+)`|\"(?P<double>[^\"]+)\"|“(?P<curly>[^”]+)”|«(?P<guillemets>[^»]+)»"
    r"|(?<![\w'])'(?P<single>[^'\n]{1,400}(?:'\w[^'\n]{0,400}){0,3})'(?!\w)|(?<!\w)‘(?P<single_curly>[^’\n]+)’(?!\w)",
    re.DOTALL,
)
_URL = re.compile(
    r"https?://[^\s<>\"')\]]+|(?<![@\w.])(?:www\.)?(?:[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\.)+"
    r"(?:com|org|net|io|dev|ai|edu|gov|app|info|co\.uk|de|fr|eu|test)\b(?!\.?\w)(?:/[^\s<>\"')\]]*)?",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w.])(?:\+\d[\d\s().-]{6,}\d|\(?\d{3}\)?[-.\s]\d{3}[-.\s]\d{4})(?!\w)")
_PATH = re.compile(
    r"(?:(?<=\s)|^)(?:~|\.{1,2})?(?:/[\w.@-]+)+/?(?=[\s,;:?!]|\.?\s|\.?$)"
    r"|(?<![\w/.@-])[\w-]+\.(?:txt|csv|json|md|py|pdf|docx?|xlsx?|png|jpe?g|log|ya?ml|toml|html?|xml|sql|sh|js|ts|zip)\b"
)
_IDENTIFIER = re.compile(
    r"(?<![\w-])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|#(?P<hash>\w[\w-]*)"
    r"|(?!\d+-[a-z]+(?!\w))(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)+"
    r"|(?=[A-Z0-9]*\d)(?=[A-Z0-9]*[A-Z])[A-Z0-9]{8,}|[A-Za-z][a-z0-9]*_[a-z0-9_]+|[A-Z]{1,5}\d{2,}[A-Z0-9]*|[a-z]{2,}\d+)(?![\w-])"
)
_DICTATED = re.compile(
    r"\b(?:(?<!are )(?<!is )(?<!people )saying|(?:that|which|and) (?:says?|reads?)"
    r"|(?:a|the) (?:note|reminder)(?= that )|with the (?:message|text|body|content|note|words)):?\s+(?:that\s+|:\s*)?"
    r"(?P<content>[^\n]+?)"
    r"(?=[.!?]?\s*(?:\n|$)|[.!?]\s)"
    r"|\b(?:tell|let|inform|notify|message|email|e-mail|text|remind)\s+[\w@.+-]+\s+(?:know\s+)?that\s+(?P<told>[^\n]+?)"
    r"(?=[.!?]?\s*(?:\n|$)|[.!?]\s)",
    re.IGNORECASE,
)
_AFTER_COLON = re.compile(r"(?<=[\w)]):\s+(?P<content>\S.*\S|\S)\s*$", re.DOTALL)


def read_literals(text: str) -> list[Mention]:
    """Every literal of `text`, in order, none overlapping another; a literal hides what is inside it."""
    found: list[Mention] = []
    for reader in _READERS:
        blotted = _blotted(text, found)
        found.extend(reader(blotted, text))
    return sorted(found, key=lambda mention: mention.start)


def content_after_colon(text: str) -> Mention | None:
    """What follows the only colon of `text`, which may be meant as content ("Translate this: …")."""
    match = _AFTER_COLON.search(text)
    if match is None or text[: match.start()].count(": "):
        return None
    start, end = match.span("content")
    return Mention(Kind.CONTENT, start, end, match["content"])


def _blotted(text: str, found: list[Mention]) -> str:
    for mention in found:
        text = text[: mention.start] + MASK * (mention.end - mention.start) + text[mention.end :]
    return text


def _json(blotted: str, text: str) -> Iterator[Mention]:
    decoder, position = json.JSONDecoder(), 0
    while match := re.compile(r"\{").search(blotted, position):
        try:
            value, end = decoder.raw_decode(blotted, match.start())
        except (ValueError, RecursionError):
            position = match.end()
            continue
        position = end
        if isinstance(value, dict) and value:
            yield Mention(Kind.JSON, match.start(), end, blotted[match.start() : end])


def _quoted(blotted: str, text: str) -> Iterator[Mention]:
    for match in _QUOTED.finditer(blotted):
        content = next(group for group in match.groups() if group is not None)
        yield _mention(Kind.QUOTED, text, match.start(), match.end(), content.strip())


def _dictated(blotted: str, text: str) -> Iterator[Mention]:
    for match in _DICTATED.finditer(blotted):
        group = "content" if match["content"] else "told"
        start, end = match.span(group)
        yield _mention(Kind.CONTENT, text, start, end, text[start:end].strip(" \"'“”"))


def _urls(blotted: str, text: str) -> Iterator[Mention]:
    for match in _URL.finditer(blotted):
        url = match.group().rstrip(".,;:!?")
        spelled = url if url.lower().startswith("http") else f"https://{url}"
        yield _mention(Kind.URL, text, match.start(), match.start() + len(url), spelled)


def _emails(blotted: str, text: str) -> Iterator[Mention]:
    for match in _EMAIL.finditer(blotted):
        address = match.group().rstrip(".-")
        yield _mention(Kind.EMAIL, text, match.start(), match.start() + len(address), address)


def _phones(blotted: str, text: str) -> Iterator[Mention]:
    for match in _PHONE.finditer(blotted):
        yield _mention(Kind.PHONE, text, match.start(), match.end(), match.group())


def _paths(blotted: str, text: str) -> Iterator[Mention]:
    for match in _PATH.finditer(blotted):
        path = match.group().rstrip(".") if "/" in match.group() else match.group()
        yield _mention(Kind.PATH, text, match.start(), match.start() + len(path), path)


def _identifiers(blotted: str, text: str) -> Iterator[Mention]:
    for match in _IDENTIFIER.finditer(blotted):
        yield _mention(Kind.IDENTIFIER, text, match.start(), match.end(), match["hash"] or match.group())


def _mention(kind: Kind, text: str, start: int, end: int, value: str) -> Mention:
    return Mention(
        kind,
        start,
        end,
        value,
        before=stems_before(text, start),
        preposition=preposition_before(text, start),
        initial=begins_sentence(text, start),
    )


#: In the order in which they may claim letters of the text.
_READERS: Final[tuple[Callable[[str, str], Iterator[Mention]], ...]] = (
    _json,
    _quoted,
    _urls,
    _emails,
    _dictated,
    _phones,
    _paths,
    _identifiers,
)
