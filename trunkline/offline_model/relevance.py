"""Which of the offered tools a clause is about.

A tool's vocabulary is its name, its description, its parameters' names and its enum values; a word counts by where it
stands and by how few of the offered tools have it (inverse document frequency). Tools that change something need a
verb that asks for it as well. This module must not fill arguments.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from trunkline.offline_model.arithmetic import conversion_in, expression_in
from trunkline.offline_model.clauses import Clause, Form
from trunkline.offline_model.effects import asks_for_effect, decided_verb, effect_verbs
from trunkline.offline_model.mention import NUMERIC, Kind, Mention
from trunkline.offline_model.offered import OfferedTool, Parameter
from trunkline.offline_model.roles import Role
from trunkline.offline_model.vocabulary import ASKING_VERBS, EMPTY_VERBS, STOP_WORDS, SYNONYMS, WEAK_NOUNS, alike
from trunkline.offline_model.words import Word, stem, stems

#: A clause is about a tool from this score on: about one distinctive word of its name, or two of its description.
THRESHOLD: Final = 0.78
#: How much of the score words must give; the rest may come from what the clause mentions.
_WORDS_NEEDED: Final = 0.35

_NAME, _WEAK_NAME, _PARAMETER, _ENUM, _DESCRIPTION = 1.0, 0.35, 0.35, 0.5, 0.45
_MENTIONS_AT_MOST: Final = 0.6
#: What a word is worth at least, however many of the tools have it.
_COMMON: Final = 0.55

#: What a mention adds if a parameter of the tool takes such a thing.
_SLOTS: Final = {
    Role.PLACE: (frozenset({Kind.PLACE, Kind.PROPER}), 0.35),
    Role.URL: (frozenset({Kind.URL}), 0.45),
    Role.EMAIL: (frozenset({Kind.EMAIL}), 0.35),
    Role.RECIPIENT: (frozenset({Kind.EMAIL, Kind.PHONE}), 0.35),
    Role.IDENTIFIER: (frozenset({Kind.IDENTIFIER}), 0.45),
    Role.LANGUAGE: (frozenset({Kind.LANGUAGE}), 0.5),
    Role.CURRENCY: (frozenset({Kind.CURRENCY, Kind.MONEY}), 0.5),
    Role.PATH: (frozenset({Kind.PATH}), 0.45),
    Role.MOMENT: (frozenset({Kind.MOMENT}), 0.2),
    Role.TIMEZONE: (frozenset({Kind.PROPER, Kind.PLACE}), 0.3),
    Role.MONEY: (frozenset({Kind.MONEY}), 0.15),
    Role.PERCENT: (frozenset({Kind.PERCENT}), 0.15),
    Role.NUMBER: (NUMERIC, 0.15),
    Role.COUNT: (NUMERIC, 0.1),
    Role.TEXT: (frozenset({Kind.QUOTED, Kind.CONTENT}), 0.25),
    Role.QUERY: (frozenset({Kind.QUOTED, Kind.CONTENT}), 0.25),
}
#: What a mention adds that hardly anything else can be for: a URL for the tool that fetches, a sum for a calculator.
_TELLING: Final = 0.9


@dataclass(frozen=True, eq=False, slots=True)
class Profile:
    """A tool as relevance sees it: its stems with their weights."""

    tool: OfferedTool
    names: dict[str, float]
    others: dict[str, float]
    leaves: tuple[Parameter, ...]
    effects: frozenset[str]


@dataclass(frozen=True, slots=True)
class Match:
    """That a clause is about a tool, how much, and which of its words say so (by their start)."""

    tool: OfferedTool
    rank: float
    words: frozenset[int]
    name_words: frozenset[int]


class Catalogue:
    """The offered tools, weighed against each other. Immutable once built."""

    def __init__(self, tools: Sequence[OfferedTool]) -> None:
        self.tools = tuple(tools)
        self.profiles = tuple(_profile(tool) for tool in self.tools)
        self._rarity = self._rarities()

    def tool_words(self) -> dict[str, frozenset[int]]:
        """For each distinctive stem of the names, the indexes of the tools that have it."""
        found: dict[str, frozenset[int]] = {}
        for index, profile in enumerate(self.profiles):
            for word, weight in profile.names.items():
                if weight > _WEAK_NAME:
                    found[word] = found.get(word, frozenset()) | {index}
        return found

    def has_effect(self, tool: OfferedTool) -> bool:
        """Whether calling `tool` changes something outside."""
        return any(profile.effects for profile in self.profiles if profile.tool is tool)

    def matches(self, clause: Clause, taken: frozenset[int] = frozenset(), *, least: float = THRESHOLD) -> list[Match]:
        """The tools that the words of `clause` not in `taken` are about, the most relevant first."""
        words = [
            word
            for word in clause.words
            if word.start not in taken and (word.stem in self._rarity or word.stem in SYNONYMS)
        ]
        decided = decided_verb(clause)
        found = [
            self._match(profile, clause, words, least, taken)
            for profile in self.profiles
            if decided is None or any(alike(decided.stem, word) for word in (*profile.effects, *profile.others))
        ]
        return sorted((match for match in found if match), key=lambda match: -match.rank)

    def _match(
        self, profile: Profile, clause: Clause, words: list[Word], least: float, taken: frozenset[int]
    ) -> Match | None:
        names, named = _matched(profile.names, words, frozenset(), self._rarity)
        others, described = _matched(profile.others, words, named, self._rarity)
        mentioned = _mention_score(profile.leaves, clause, sole=sum(p.required for p in profile.tool.parameters) == 1)
        lexical = names.raw + min(others.raw, 1.0)
        alone = mentioned >= THRESHOLD and not taken  # a URL for the tool that fetches, a sum for the calculator
        if lexical + mentioned < least or (lexical < min(_WORDS_NEEDED, least) and not alone):
            return None
        if profile.effects and not self._effect_is_asked(profile, clause, names.stems, max(mentioned, others.raw)):
            return None
        distinctive = [word for word, weight in profile.names.items() if weight > _WEAK_NAME]
        coverage = sum(word in names.stems for word in distinctive) / len(distinctive) if distinctive else 0.0
        rank = names.weighed + others.weighed + mentioned + 0.5 * coverage + _in_order(profile, words)
        return Match(profile.tool, rank, named | described, named)

    def _effect_is_asked(self, profile: Profile, clause: Clause, matched: frozenset[str], other: float) -> bool:
        """Whether the verb of effect is asked for, together with what the tool does it to."""
        verb = asks_for_effect(clause, profile.effects)
        if verb is None:
            return False
        nouns = {word for word, weight in profile.names.items() if weight > _WEAK_NAME} - profile.effects
        verb_and_noun_in_one = any(alike(verb.stem, noun) for noun in nouns)
        money = stem("money") in nouns and any(mention.kind is Kind.MONEY for mention in clause.mentions)
        return not nouns or money or bool(nouns & matched) or verb_and_noun_in_one or other >= 0.35

    def _rarities(self) -> dict[str, float]:
        count = len(self.profiles)
        frequency: dict[str, int] = {}
        for profile in self.profiles:
            for word in {**profile.others, **profile.names}:
                frequency[word] = frequency.get(word, 0) + 1
        top = math.log((count + 1) / 1.5)
        return {word: max(0.25, math.log((count + 1) / (seen + 0.5)) / top) for word, seen in frequency.items()}


@dataclass(frozen=True, slots=True)
class _Score:
    raw: float
    weighed: float
    stems: frozenset[str]


def _matched(
    vocabulary: dict[str, float], words: list[Word], used: frozenset[int], rarity: dict[str, float]
) -> tuple[_Score, frozenset[int]]:
    """How much of `vocabulary` the words give; each word counts once, the same before the alike."""
    pairs = sorted(
        (
            (-alike(word.stem, entry) * weight, word.start, entry)
            for entry, weight in vocabulary.items()
            for word in words
            if word.start not in used and alike(word.stem, entry)
        ),
    )
    raw = weighed = 0.0
    taken: set[int] = set()
    seen: set[str] = set()
    for score, start, entry in pairs:
        if start in taken or entry in seen:
            continue
        taken.add(start)
        seen.add(entry)
        raw -= score * max(rarity.get(entry, 1.0), _COMMON)
        weighed -= score * rarity.get(entry, 1.0)
    repeated = {word.start for word in words if any(alike(word.stem, entry) for entry in seen)}
    return _Score(raw, weighed, frozenset(seen)), frozenset(taken | repeated)


def _profile(tool: OfferedTool) -> Profile:
    parts = [part.rstrip("0123456789") or part for part in tool.parts]
    named = [stem(part) for part in parts if part not in STOP_WORDS or part == "do"] or [stem(part) for part in parts]
    names = {part: _WEAK_NAME if part in ASKING_VERBS or part in WEAK_NOUNS else _NAME for part in named}
    if names and max(names.values()) < _NAME:
        names = {part: _WEAK_NAME if part in EMPTY_VERBS else 0.9 for part in names}
    if _takes_any_query(tool):
        names = {part: 0.9 if part in ASKING_VERBS - EMPTY_VERBS else weight for part, weight in names.items()}
    others: dict[str, float] = {}
    leaves = tuple(_leaves(tool.parameters))
    for parameter in leaves:
        for part in parameter.stems - WEAK_NOUNS - ASKING_VERBS:
            others[part] = _PARAMETER
        for value in parameter.enum:
            for word in stems(str(value)) if isinstance(value, str) else ():
                others[word] = max(others.get(word, 0.0), _ENUM)
    described = [word for word in _description_stems(tool.description) if word not in others]
    damping = min(1.0, math.sqrt(12 / max(1, len(described))))
    others.update(dict.fromkeys(described, _DESCRIPTION * damping))
    others = {word: weight for word, weight in others.items() if word not in names}
    return Profile(tool, names, others, leaves, effect_verbs(tool))


@lru_cache(maxsize=1024)
def _description_stems(description: str) -> tuple[str, ...]:
    first_lines = description.strip().split("\n\n", 1)[0]
    plain = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", first_lines.lower())
    kept = {stem(word): None for word in plain if word not in STOP_WORDS and len(word) > 1}
    return tuple(word for word in kept if word not in WEAK_NOUNS and word not in ASKING_VERBS)


def _takes_any_query(tool: OfferedTool) -> bool:
    return any(parameter.role is Role.QUERY and parameter.required for parameter in tool.parameters)


def _leaves(parameters: Sequence[Parameter]) -> list[Parameter]:
    found: list[Parameter] = []
    for parameter in parameters:
        found.append(parameter)
        found.extend(_leaves(parameter.properties))
        if parameter.items is not None:
            found.extend(_leaves((parameter.items, *parameter.items.properties)))
    return found


def _mention_score(leaves: Sequence[Parameter], clause: Clause, *, sole: bool) -> float:
    """What the clause's mentions say for a tool: at most a part of the threshold, but for what only it can take."""
    score = 0.0
    used: list[Mention] = []
    roles = [parameter.role for parameter in leaves]
    if Role.EXPRESSION in roles and expression_in(clause.text):
        return _TELLING
    if roles.count(Role.UNIT) > 1 and conversion_in(clause.text):
        return _TELLING
    for parameter in leaves:
        kinds, weight = _SLOTS.get(parameter.role, (frozenset[Kind](), 0.0))
        fitting = next((m for m in clause.mentions if m.kind in kinds and m not in used and _fits(m)), None)
        if fitting is None:
            continue
        used.append(fitting)
        if fitting.kind in (Kind.URL, Kind.PATH) and parameter.required and sole:
            return _TELLING
        score += weight
    if roles.count(Role.CURRENCY) > 1 and len({m.currency for m in used if m.currency}) > 1:
        return _TELLING
    return min(score, _MENTIONS_AT_MOST)


def _fits(mention: Mention) -> bool:
    return not (mention.kind is Kind.PROPER and mention.initial)


def _in_order(profile: Profile, words: list[Word]) -> float:
    """A little more for a name whose words stand in the text in its order: celsius_to_fahrenheit, not the reverse."""
    order = [word.stem for word in words]
    places = [order.index(word) for word in profile.names if word in order]
    return 0.2 if len(places) > 1 and places == sorted(places) else 0.0


class Fitness(Protocol):
    """What filling a tool's parameters gave."""

    @property
    def complete(self) -> bool:
        """Whether every required parameter has a value or will have one."""

    @property
    def texts(self) -> tuple[tuple[int, int], ...]:
        """The parts of the request that became running text: their words ask for nothing."""


def choose(clause: Clause, catalogue: Catalogue, fit: Callable[[Match], Fitness]) -> list[Match]:
    """The tools that `clause` asks for: the best, then what the words it leaves unexplained ask for, and so on.

    Among tools that are nearly as relevant as the best, one whose required parameters can be filled goes first.
    """
    chosen: list[Match] = []
    taken: frozenset[int] = frozenset()
    if clause.form is Form.TELLS:
        return chosen
    while matches := [
        match for match in catalogue.matches(clause, taken) if match.tool not in {m.tool for m in chosen}
    ]:
        near = [match for match in matches if match.rank >= 0.6 * matches[0].rank]
        best = next((match for match in near if fit(match).complete), matches[0])
        fitness = fit(best)
        if clause.form is Form.MAY_ASK and not fitness.complete:
            break
        chosen.append(best)
        written = {word.start for word in clause.words if any(low <= word.start < high for low, high in fitness.texts)}
        taken |= best.words | written
    return chosen
