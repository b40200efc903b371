"""Fills parameters that take running text, from what is left of a clause: its object.

"Reverse hello world" leaves "hello world", "a recipe for chocolate cake" leaves "chocolate cake". This module must not
know other parameters than the one it is asked about.
"""

import re
from collections.abc import Iterable
from itertools import takewhile
from typing import Final

from trunkline.offline_model.clauses import LITERAL, Clause
from trunkline.offline_model.mention import MASK, NUMERIC, Kind
from trunkline.offline_model.offered import Parameter
from trunkline.offline_model.roles import Role
from trunkline.offline_model.vocabulary import ASKING_VERBS, CLAUSE_OPENERS, PREAMBLE, STOP_WORDS
from trunkline.offline_model.words import Word, stem, word_set

Spans = Iterable[tuple[int, int]]

#: Words that announce a text and are not part of it.
_ANNOUNCERS: Final = word_set(
    "text word words sentence phrase string following term query question topic message note content title name called"
    " named titled saying about regarding string letters characters article spelled"
)
_MARKS: Final = {
    Role.TITLE: r"called|named|titled|entitled|with (?:the )?(?:title|subject|name)|about|regarding",
    Role.QUERY: r"about|regarding|on the topic of|related to",
    Role.PERSON: r"(?:my )?name is|i am|i'm|named|called",
}
_MARK_END: Final = (
    r"(?=\s*(?:[,;.!?](?:\s|$)|$)|\s+(?:and|with|for|to|on|at|in|from|by|saying|that|due|until|tomorrow|today)\b)"
)


def labelled_text(parameter: Parameter, text: str, others: Iterable[Parameter]) -> str | None:
    """The value after the parameter's own name: `subject: Hello`, `city = Paris`, "with subject Hello and body …"."""
    name = _spelled(parameter)
    stops = "|".join(_spelled(other) for other in others if other is not parameter)
    label = rf"\b(?:{stops})\b" if stops else r"(?!)"
    match = re.search(
        rf"(?<!\w){name}\s*[=:]\s*(?P<value>\S.*?)(?=\s*[,;]?\s*(?:and\s+)?{label}\s*[=:]|[;\n]|$)", text, re.IGNORECASE
    ) or re.search(
        rf"\b(?:with|and|,)\s+(?:the\s+|a\s+)?{name}\s+(?:of\s+|is\s+|as\s+)?(?P<value>\S.*?)"
        rf"(?=\s*(?:,|\band\b|\bwith\b)\s*(?:the\s+|a\s+)?{label}|\s*[.!?]?\s*$|[;\n])",
        text,
        re.IGNORECASE,
    )
    if match is None:
        return None
    quoted = _QUOTED.match(match["value"])
    return quoted["inside"] if quoted else match["value"].strip(" \"'“”,.")


_QUOTED = re.compile(r"(?P<mark>[\"'])(?P<inside>.+?)(?P=mark)(?!\w)")


def _spelled(parameter: Parameter) -> str:
    return r"[\s_-]?".join(re.escape(part) for part in parameter.parts)


def named_text(parameter: Parameter, text: str) -> str | None:
    """The one word after the parameter's name: "the letter r in the word strawberry"."""
    match = re.search(rf"(?<!\w){_spelled(parameter)}\s+(?P<value>[\w-]+)", text, re.IGNORECASE)
    return match["value"] if match and match["value"].lower() not in STOP_WORDS - {"a", "i"} else None


def marked_text(parameter: Parameter, text: str, tool_words: Iterable[str] = ()) -> str | None:
    """The value after a word that introduces its kind: "called Sync", "about the viewing", "from checking"."""
    marks = _MARKS.get(parameter.role)
    if {"artist", "author", "director", "composer", "band"} & set(parameter.parts):
        marks = "by"
    if parameter.direction is not None and parameter.role in (Role.TEXT, Role.IDENTIFIER):
        marks = {"from": "from", "to": "to|into"}[parameter.direction]
    if marks is None:
        return None
    thing = "|".join(re.escape(word) for word in (*tool_words, *parameter.parts) if len(word) > 2) or "(?!)"
    match = re.search(
        rf"\b(?:{marks})\s+(?:(?:the\s+|a\s+|an\s+)?(?:{thing})s?\s+)?(?P<value>[^,;.!?]+?){_MARK_END}",
        text,
        re.IGNORECASE,
    )
    return match["value"].strip(" \"'“”") if match else None


def lower_case_places(clause: Clause, used: Spans, direction: str | None = None) -> list[tuple[str, int, int]]:
    """Places written small: what follows "in", "near" or "for" up to the next function word ("in paris and london")."""
    leads = {"from": "from", "to": "to|into"}.get(direction or "", "in|near|around|at|for|of|to")
    hidden = _blotted(clause, used)
    for match in re.finditer(rf"\b(?:{leads})\s+(?=[^\W\d_])", hidden, re.IGNORECASE):
        run = re.match(
            r"(?:[^\W\d_][\w'’-]*)(?:(?:\s|,\s|,?\sand\s|,?\sor\s)[^\W\d_][\w'’-]*){0,5}", hidden[match.end() :]
        )
        if run is None:
            continue
        places = _place_names(run.group(), clause.start + match.end())
        if places:
            return places
    return []


def bare_place(clause: Clause, *, names: frozenset[int]) -> str | None:
    """The place in a request of two or three words: "weather paris"."""
    words = _all_words(clause)
    rest = [word for word in words if word.start not in names]
    if not names or len(words) > 3 or not 1 <= len(rest) <= 2 or "?" in clause.text or clause.mentions:
        return None
    adjacent = rest[-1].start - rest[0].end == 1 if len(rest) == 2 else True
    return " ".join(word.text for word in rest) if adjacent and all(_may_name_place(w.text) for w in rest) else None


def _place_names(run: str, offset: int) -> list[tuple[str, int, int]]:
    """The names in "paris, rome and oslo", up to the first word that is no part of one."""
    found: list[tuple[str, int, int]] = []
    for match in re.finditer(r"(?:^|,?\s+(?:and|or)\s+|,\s+)(?P<name>.+?)(?=,?\s+(?:and|or)\s|,\s|$)", run):
        words = match["name"].split()
        kept = list(takewhile(_may_name_place, words))
        if kept:
            start = offset + match.start("name")
            name = " ".join(kept)
            found.append((name, start, start + len(name)))
        if len(kept) < len(words):
            break
    return found


def _may_name_place(word: str) -> bool:
    return not (word.lower() in STOP_WORDS or word.lower() in _NO_PLACES or stem(word) in ASKING_VERBS)


_NO_PLACES: Final = word_set(
    "least most once all home work random general detail details total short morning afternoon evening night celsius"
    " fahrenheit kelvin degrees english metric imperial today tomorrow tonight weekend week month year summary brief"
    " particular order case fact advance sale rent dollars euros usd eur time days hours minutes first report update"
    " app channel forecast info service"
)


def object_of(clause: Clause, parameter: Parameter, *, used: Spans, names: frozenset[int]) -> str | None:
    """What `clause` is left with when asking words, the tool's words and used mentions are taken away.

    Args:
        clause: Where to look.
        parameter: What it is for: its own name announces the text and is not part of it.
        used: Spans that fill other parameters.
        names: Starts of the words that name the tool.
    """
    spans = list(used)
    announcers = _ANNOUNCERS | set(parameter.parts)
    runs: list[list[Word]] = [[]]
    announced = [False]
    for word in _all_words(clause):
        if word.start in names or any(start <= word.start < end for start, end in spans):
            runs.append([])
            announced.append(word.plain in announcers)
        else:
            runs[-1].append(word)
    runs[0] = _without_verb(runs[0])
    for index, run in enumerate(runs):
        own = [
            place
            for place, word in enumerate(run[:-1])
            if word.plain in parameter.parts and (place == 0 or _is_filler(run[place - 1]))
        ]
        if own:  # "the table users": what follows the parameter's own name
            runs[index], announced[index] = run[own[-1] + 1 :], True
    heads = [bool(run) and run[-1].plain in _HEAD_ENDS and any(runs[index + 1 :]) for index, run in enumerate(runs)]
    trimmed = [
        [] if head else _trimmed(run, announcers, after)
        for run, after, head in zip(runs, announced, heads, strict=True)
    ]
    best = max(trimmed, key=len, default=[])
    if not best:
        return None
    return clause.text[best[0].start - clause.start : best[-1].end - clause.start].split(MASK)[0].strip(" /\"'“”")


#: "The details of the movie …": what comes before is not the object.
_HEAD_ENDS: Final = word_set("of about")


def _all_words(clause: Clause) -> list[Word]:
    return [word for word in clause.words if " " not in word.text]


def _without_verb(run: list[Word]) -> list[Word]:
    """The words from the start of a clause, without its imperative and the politeness before that."""
    start = 0
    while start < len(run) and run[start].plain in PREAMBLE:
        start += 1
    while start < len(run) and (run[start].plain in CLAUSE_OPENERS | _VERBS or run[start].stem in ASKING_VERBS):
        start += 1
    return run[start:]


_VERBS: Final = word_set("put take bring place mark jot say write have enter")


def _trimmed(run: list[Word], announcers: frozenset[str], announced: bool) -> list[Word]:
    """`run` without the function words at its edges, and without what announces it; announced, it keeps its "the"."""
    start, end = 0, len(run)
    while start < end and not announced and (_is_filler(run[start]) or run[start].plain in announcers):
        announced = run[start].plain in announcers and start + 1 < end and run[start + 1].plain not in announcers
        start += 1
    while start < end and announced and run[start].plain in _LINKS:
        start += 1
    while end > start and (_is_filler(run[end - 1]) or run[end - 1].plain in _CLOSINGS):
        end -= 1
    return run[start:end]


#: What may stand between an announcing word and the text itself: "the word for …".
_LINKS: Final = word_set("of for is that which in from")
_CLOSINGS: Final = word_set("please thanks thank now today")
#: Stop words that are as likely part of a text somebody wants handled.
_CONTENT: Final = word_set(
    "hello hi hey good great nice fine cool yes no right well sure thanks thank ok okay things thing day there here"
    " again"
)


def _is_filler(word: Word) -> bool:
    if word.plain in _CONTENT:
        return False
    return word.plain in STOP_WORDS


def _blotted(clause: Clause, used: Spans) -> str:
    text = clause.text
    read = [(m.start, m.end) for m in clause.mentions if m.kind in LITERAL or m.kind in (Kind.MOMENT, *NUMERIC)]
    for start, end in [*used, *read]:
        low, high = max(0, start - clause.start), max(0, end - clause.start)
        text = text[:low] + "|" * (min(high, len(text)) - low) + text[high:]
    return text
