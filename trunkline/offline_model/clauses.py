"""Reads a request: everything it mentions, and the clauses it consists of.

"Find houses in Austin, TX, and tell me about the neighborhood" are two clauses; "Austin, TX" and "2 and 3" are not
torn apart, because what has been read as one mention is never split. This module must not choose tools.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from itertools import islice
from typing import Final

from trunkline.offline_model.dates import read_moments
from trunkline.offline_model.literals import content_after_colon, read_literals
from trunkline.offline_model.mention import MASK, Kind, Mention, masked, preposition_before, stems_before
from trunkline.offline_model.names import read_names, read_places
from trunkline.offline_model.quantities import read_quantities
from trunkline.offline_model.vocabulary import CLAUSE_OPENERS, PHRASES, PREAMBLE, REQUEST_OPENERS, STOP_WORDS
from trunkline.offline_model.words import Word, split_words, word_set

#: No more of a request than this is looked into, but for content that is passed on as a whole.
MOST_LETTERS: Final = 6000
_LONG_CONTENT: Final = 1500
#: More clauses than these are not read.
MOST_CLAUSES: Final = 24

_SENTENCE = re.compile(r"(?<=[.!?])[\"'”)]*\s+(?=\S)|\n+|;\s*")
_JOINT = re.compile(
    r"\s*,?\s*\b(?:and then|and also|as well as|and|then|also|plus|but|or)\b\s+|\s*,\s+|\s+-\s+|\s+—\s+", re.IGNORECASE
)
_RESULT = re.compile(
    r"\b(?:the|that|this|its|their)\s+(?:result|answer|sum|total|product|output|outcome|number|value|quotient|difference"
    r"|average|translation|summary|content|page|detail|finding|list|info|information|forecast)s?\b(?!\s+of\b)|\b(?:it|that|them|those|this)\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"\s*(?:please\s+)?(?:if|when|whenever|unless|in case|should)\b(?!.*\?)", re.IGNORECASE)
_WISH = re.compile(
    r"\b(?:want|need|(?:would|['’]d) (?:like|love)|looking for|wonder|curious|interested|help|planning|trying to"
    r"|remind|please|wish)\b",
    re.IGNORECASE,
)
_PERSONS: Final = word_set(
    "i it we he she they you there i'm it's that's i've we're he's she's you're they're nice great thanks thank"
)
_DETERMINERS: Final = word_set("the this that my our your his her their these those")
_FINITE = re.compile(
    r"\b(?:is|are|was|were|has|had|have|will|seems?|looks?|arrived|came|went|[a-z]{3,}ed|feels?|tastes?)\b",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"^\W*(?:please\s+)?(?:do not|don['’]?t|never|no need to)\b|\b(?:don['’]?t|do not|didn['’]?t) (?:want|need|like)\b",
    re.IGNORECASE,
)
#: "How do I cancel an order?", "What is a mortgage?": asked about, not asked for.
_ABOUT_DOING = re.compile(
    r"^\W*(?:(?:and|so|but|please|ok|hey|hi)\W+)*(?:how (?:do|can|could|would|should|does|did) (?:i|you|we|one|it)\b"
    r"|what happens|what(?: i|['’])s an?\b(?! (?:good|nice))|what does\b.*\bmean|should (?:i|we)\b|did (?:you|i|we)\b)",
    re.IGNORECASE,
)
_WITH_LABEL = re.compile(r"\bwith (?:the |a )?(?:subject|title|name|body|text|message|note)\b", re.IGNORECASE)
#: Openers that are as often the name of a field.
_NOUN_OPENERS: Final = word_set("message text email call post order book print name list")


class Form(Enum):
    """Whether a clause asks for something, as far as its form tells."""

    ASKS = "asks"
    MAY_ASK = "may ask"
    """A noun phrase, or a question about how things are done: a request only if it has all a tool needs."""
    TELLS = "tells"


@dataclass(frozen=True, slots=True)
class Clause:
    """A stretch of the request that asks for, or tells, one thing."""

    text: str
    start: int
    end: int
    words: tuple[Word, ...]
    """Its words that are not inside a quotation, URL or other literal; positions are those of the whole request."""
    mentions: tuple[Mention, ...]
    form: Form
    conditional: bool
    """Whether it depends on an if or a when."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A request as read; in `text`, what was not looked into is blotted out."""

    text: str
    mentions: tuple[Mention, ...]
    clauses: tuple[Clause, ...]


def read_mentions(text: str, now: datetime) -> tuple[Mention, ...]:
    """Everything `text` mentions, in order. Only a span such as "in 10 minutes" is read twice, as date and number."""
    found = read_literals(text)
    found += read_places(masked(text, found))
    moments = read_moments(masked(text, found), now)
    hidden = [moment for moment in moments if not moment.text.lower().startswith("in ")]
    found += read_quantities(masked(text, [*found, *hidden]))
    rest = masked(text, [*found, *moments])
    found += [*moments, *read_names(rest)]
    rest = masked(text, found)
    found += [
        Mention(
            Kind.RESULT,
            *match.span(),
            match.group(),
            before=stems_before(rest, match.start()),
            preposition=preposition_before(rest, match.start()),
        )
        for match in _RESULT.finditer(rest)
    ]
    colon = content_after_colon(text)
    if colon is not None:
        found.append(colon)
    return tuple(sorted(found, key=lambda mention: (mention.start, -mention.end)))


def read_utterance(text: str, *, now: datetime, tool_words: Mapping[str, frozenset[int]], whole: bool) -> Utterance:
    """Reads a request.

    Args:
        text: What the user wrote.
        now: What dates are relative to.
        tool_words: For each distinctive stem of the offered tools' names, the tools that have it: where a clause
            about another tool may begin.
        whole: Whether what follows a colon is content, so that it is not split into clauses.
    """
    written, text = text, _readable(text)
    mentions = tuple(
        replace(m, text=written[m.start : m.end].strip()) if m.kind is Kind.CONTENT and MASK in m.text else m
        for m in read_mentions(text, now)
    )
    if not whole:
        mentions = tuple(m for m in mentions if not (m.kind is Kind.CONTENT and text[: m.start].rstrip().endswith(":")))
    solid = masked(text, [m for m in mentions if m.kind is not Kind.RESULT])
    clauses = (
        _clause(text, first, last, mentions, _CONDITION.match(solid[start:end]) is not None)
        for start, end in _sentences(solid)
        for first, last in _parts(solid, start, end, tool_words)
    )
    return Utterance(text, mentions, tuple(islice(clauses, MOST_CLAUSES)))


def _readable(text: str) -> str:
    """`text` with what is too long to be looked into blotted out: pasted content, and all beyond a limit."""
    if text.isupper() and " " in text and len(text.lower()) == len(text):
        text = text.lower()
    content = content_after_colon(text)
    if content is not None and content.end - content.start > _LONG_CONTENT:
        text = masked(text, [content])
    return text[:MOST_LETTERS] + MASK * (len(text) - MOST_LETTERS)


def _sentences(solid: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in _SENTENCE.finditer(solid):
        yield start, match.start()
        start = match.end()
    yield start, len(solid)


def _parts(solid: str, start: int, end: int, tool_words: Mapping[str, frozenset[int]]) -> Iterator[tuple[int, int]]:
    position = start
    for match in _JOINT.finditer(solid, start, end):
        if match.start() <= position:
            continue
        if _opens(solid[max(position, match.start() - 300) : match.start()], solid[match.end() : end], tool_words):
            yield position, match.start()
            position = match.end()
    if solid[position:end].strip():
        yield position, end


def _opens(left: str, right: str, tool_words: Mapping[str, frozenset[int]]) -> bool:
    """Whether a clause of its own begins with `right`."""
    head = split_words(right[:60])[:4] if right[:1].isalpha() else ()
    if not head or not left.strip(f" ,.{MASK}"):
        return False
    if head[0].plain in CLAUSE_OPENERS:
        return not (head[0].plain in _NOUN_OPENERS and _WITH_LABEL.search(left))
    before = [tool_words[word.stem] for word in split_words(left) if word.stem in tool_words]
    after = [word for word in head if word.plain not in STOP_WORDS][:2]
    tools_after = [tool_words[word.stem] for word in after if word.stem in tool_words]
    return bool(before and tools_after) and frozenset().union(*before).isdisjoint(frozenset().union(*tools_after))


def _clause(text: str, start: int, end: int, mentions: tuple[Mention, ...], conditional: bool) -> Clause:
    inside = tuple(mention for mention in mentions if start <= mention.start and mention.end <= end)
    literal = masked(text, [m for m in inside if m.kind in LITERAL])[:end]
    words = _with_phrases([word for word in split_words(literal) if word.start >= start])
    clause = text[start:end]
    return Clause(clause, start, end, words, inside, _form(clause, words), conditional)


#: Mentions whose words are not words of the clause.
LITERAL: Final = frozenset({Kind.QUOTED, Kind.CONTENT, Kind.JSON, Kind.URL, Kind.EMAIL, Kind.PATH, Kind.IDENTIFIER})


def _with_phrases(words: list[Word]) -> tuple[Word, ...]:
    """The words, and one more for each known turn of phrase ("look up" is also a search)."""
    plain = [word.plain for word in words]
    extra = [
        Word(" ".join(phrase), meaning, words[index].start, words[index + len(phrase) - 1].end)
        for phrase, meaning in PHRASES.items()
        for index in range(len(words) - len(phrase) + 1)
        if tuple(plain[index : index + len(phrase)]) == phrase
    ]
    return tuple(sorted([*words, *extra], key=lambda word: word.start))


def _form(text: str, words: tuple[Word, ...]) -> Form:
    plain = [word.plain for word in words]
    if not plain:
        return Form.ASKS
    if _REFUSAL.search(text):
        return Form.TELLS
    if _ABOUT_DOING.match(text):
        return Form.MAY_ASK
    if "?" in text or _WISH.search(text):
        return Form.ASKS
    if plain[0] in _PERSONS:
        return Form.TELLS
    if plain[0] in _DETERMINERS:
        return Form.TELLS if _FINITE.search(text) else Form.MAY_ASK
    opener = next((word for word in plain if word not in PREAMBLE), plain[0])
    if opener in CLAUSE_OPENERS or opener in REQUEST_OPENERS or not text.rstrip().endswith("!"):
        return Form.ASKS
    return Form.MAY_ASK
