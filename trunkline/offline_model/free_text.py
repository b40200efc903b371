"""Fills parameters that take running text, from what is left of a clause: its object.

"Reverse hello world" leaves "hello world", "a recipe for chocolate cake" leaves "chocolate cake". This module must not
know other parameters than the one it is asked about.
"""

import re
from collections.abc import Iterable
from typing import Final

from trunkline.offline_model.clauses import Clause
from trunkline.offline_model.offered import Parameter
from trunkline.offline_model.relevance import ARITHMETIC
from trunkline.offline_model.roles import Role
from trunkline.offline_model.vocabulary import ASKING_VERBS, STOP_WORDS
from trunkline.offline_model.words import Word, stem, word_set

Spans = Iterable[tuple[int, int]]

#: Words that announce a text and are not part of it.
_ANNOUNCERS: Final = word_set(
    "text word words sentence phrase string following term query question topic message note content title name called"
    " named titled saying about regarding string letters characters article spelled"
)
_OPERATORS: Final = (
    (re.compile(r"\bplus\b", re.IGNORECASE), "+"),
    (re.compile(r"\bminus\b", re.IGNORECASE), "-"),
    (re.compile(r"\b(?:times|multiplied by)\b|×", re.IGNORECASE), "*"),
    (re.compile(r"\b(?:divided by|over)\b|÷", re.IGNORECASE), "/"),
    (re.compile(r"\b(?:to the power of|raised to)\b", re.IGNORECASE), "**"),
    (re.compile(r"\bsquared\b", re.IGNORECASE), "** 2"),
    (re.compile(r"\bcubed\b", re.IGNORECASE), "** 3"),
    (re.compile(r"(\d+(?:\.\d+)?)\s*(?:%|percent)\s*of\s+"), r"\1 / 100 * "),
    (re.compile(r"(?<=\d),(?=\d{3}\b)"), ""),
)
_ROOT = re.compile(r"square root of\s+(\d+(?:\.\d+)?)", re.IGNORECASE)
_UNITS: Final = (
    re.compile(r"\d\s*(?P<source>[^\W\d_]+|°\w?)\s+(?:to|in|into|as|is how many)\s+(?P<target>[^\W\d_]+|°\w?)"),
    re.compile(r"how many\s+(?P<target>[^\W\d_]+)\s.*?\d\s*(?P<source>[^\W\d_]+|°\w?)", re.IGNORECASE),
    re.compile(r"(?P<source>[^\W\d_]+)\s+(?:to|into)\s+(?P<target>[^\W\d_]+)"),
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
    """The value after the parameter's own name: `subject: Hello`, `city = Paris`."""
    name = r"[\s_-]?".join(re.escape(part) for part in parameter.parts)
    stops = "|".join(r"[\s_-]?".join(re.escape(p) for p in other.parts) for other in others if other is not parameter)
    until = rf"(?=\s*[,;]?\s*(?:and\s+)?\b(?:{stops})\s*[=:]|[;\n]|$)" if stops else r"(?=[;\n]|$)"
    match = re.search(rf"(?<!\w){name}\s*[=:]\s*(?P<value>\S.*?){until}", text, re.IGNORECASE)
    return match["value"].strip(" \"'“”,.") if match else None


def marked_text(parameter: Parameter, text: str) -> str | None:
    """The value after a word that introduces its kind: "called Sync", "about the viewing"."""
    marks = _MARKS.get(parameter.role)
    if {"artist", "author", "director", "composer", "band"} & set(parameter.parts):
        marks = "by"
    if marks is None:
        return None
    match = re.search(
        rf"\b(?:{marks})\s+(?:the\s+(?=\S+\s+by\b))?(?P<value>[^,;.!?]+?){_MARK_END}", text, re.IGNORECASE
    )
    return match["value"].strip(" \"'“”") if match else None


def expression_in(text: str) -> str | None:
    """The arithmetic in `text`, with words such as "plus" as signs."""
    root = _ROOT.search(text)
    for pattern, sign in _OPERATORS:
        text = pattern.sub(sign, text)
    match = ARITHMETIC.search(text)
    if match:
        return re.sub(r"\s+", " ", match.group()).strip(" .,").replace("^", "**").replace("×", "*").replace("÷", "/")
    return f"{root[1]} ** 0.5" if root else None


def units_in(text: str) -> tuple[str, str] | None:
    """The units a conversion is from and to: "10 km to miles"."""
    for pattern in _UNITS:
        if match := pattern.search(text):
            return match["source"], match["target"]
    return None


def lower_case_place(clause: Clause, used: Spans) -> list[tuple[str, int, int]]:
    """Places written small: what follows "in", "near" or "for" up to the next function word ("in paris and london")."""
    hidden = _blotted(clause, used)
    for match in re.finditer(r"\b(?:in|near|around|at|for|to|of)\s+(?=[^\W\d_])", hidden, re.IGNORECASE):
        run = re.match(
            r"(?:[^\W\d_][\w'’-]*)(?:(?:\s|,\s|,?\sand\s|,?\sor\s)[^\W\d_][\w'’-]*){0,5}", hidden[match.end() :]
        )
        if run is None:
            continue
        places = _place_names(run.group(), clause.start + match.end())
        if places:
            return places
    return []


def _place_names(run: str, offset: int) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    position = 0
    for part in re.split(r"(,?\s+(?:and|or)\s+|,\s+)", run):
        if position % 2 == 0:
            kept: list[str] = []
            for word in part.split():
                if word.lower() in STOP_WORDS or word.lower() in _NO_PLACES or stem(word) in ASKING_VERBS:
                    break
                kept.append(word)
            if not kept:
                break
            name = " ".join(kept)
            start = offset + run.index(name)
            found.append((name, start, start + len(name)))
            if len(kept) < len(part.split()):
                break
        position += 1
    return found


_NO_PLACES: Final = word_set(
    "general detail details total short morning afternoon evening night celsius fahrenheit kelvin degrees english metric"
    " imperial today tomorrow tonight weekend week month year summary brief particular order case fact advance sale rent"
    " dollars euros usd eur time days hours minutes first"
)


def object_of(
    clause: Clause, parameter: Parameter, *, used: Spans, names: frozenset[int], keep_numbers: bool = True
) -> str | None:
    """What `clause` is left with when asking words, the tool's words and used mentions are taken away.

    Args:
        clause: Where to look.
        parameter: What it is for: its own name announces the text and is not part of it.
        used: Spans that fill other parameters.
        names: Starts of the words that name the tool.
        keep_numbers: Whether a number may be part of it.
    """
    spans = list(used)
    announcers = _ANNOUNCERS | set(parameter.parts)
    runs: list[list[Word]] = [[]]
    for word in _all_words(clause):
        if word.start in names or any(start <= word.start < end for start, end in spans):
            runs.append([])
        elif keep_numbers or not word.text.isdigit():
            runs[-1].append(word)
    trimmed = [_trimmed(run, announcers) for run in runs]
    best = max(trimmed, key=len, default=[])
    if not best:
        return None
    return clause.text[best[0].start - clause.start : best[-1].end - clause.start].strip(" \"'“”")


def _all_words(clause: Clause) -> list[Word]:
    return [word for word in clause.words if " " not in word.text]


def _trimmed(run: list[Word], announcers: set[str] | frozenset[str]) -> list[Word]:
    """`run` without the function words at its edges, and without what announces it."""
    start, end = 0, len(run)
    while start < end and (_is_filler(run[start]) or run[start].plain in announcers):
        start += 1
    while end > start and _is_filler(run[end - 1]):
        end -= 1
    return run[start:end]


def _is_filler(word: Word) -> bool:
    return word.plain in STOP_WORDS or (word.stem in ASKING_VERBS and word.stem not in ("work", "process"))


def _blotted(clause: Clause, used: Spans) -> str:
    text = clause.text
    for start, end in used:
        low, high = max(0, start - clause.start), max(0, end - clause.start)
        text = text[:low] + "|" * (min(high, len(text)) - low) + text[high:]
    return text
