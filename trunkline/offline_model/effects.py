"""Which tools change something outside, and whether a clause clearly asks for that.

Words that merely occur are not enough here: "the schedule", "I sent it" and "how do I delete" ask for nothing. This
module must not choose between tools.
"""

import re
from typing import Final

from trunkline.offline_model.clauses import Clause
from trunkline.offline_model.offered import OfferedTool
from trunkline.offline_model.vocabulary import (
    ASKING_VERBS,
    CARRIER_VERBS,
    DECIDED_VERBS,
    EFFECT_VERBS,
    HARMLESS_VERBS,
    MILD_VERBS,
    PREAMBLE,
    alike,
)
from trunkline.offline_model.words import Word, stem, stems

_NEGATED = re.compile(
    r"\b(?:don['’]?t|do not|never|without|no need to|not to|stop|avoid)\s+(?:\w+\s+){0,2}$", re.IGNORECASE
)
_OBJECT = re.compile(r"(?:an?|the|my|me|it|that|this|us|our|your|all|for)\b|[A-Z#]|$")
#: "Feed the cat" and not "Days until a date".
_IMPERATIVE = re.compile(r"\w+\s+(?:an?|the|some|all|your|my|one|every|this)\b")
_WISHES: Final = frozenset({"want", "need", "like", "love"})
_TO_VERB: Final = frozenset({"to", "please", "and", "then", "also", "me", "you", "now", "just"})


def effect_verbs(tool: OfferedTool) -> frozenset[str]:
    """Stems of the verbs by which `tool` says that it changes something; empty for a tool that only reads."""
    first_sentence = re.split(r"[.\n]", tool.description.strip(), maxsplit=1)[0]
    described = stems(first_sentence)[:1]
    named = [stem(part) for part in tool.parts]
    verbs = [word for word in (*named[:1], *described) if word in EFFECT_VERBS]
    if not verbs and len(named) > 1 and named[-1] in EFFECT_VERBS - MILD_VERBS and not described:
        verbs = named[-1:]
    if named[:1] and named[0] in ASKING_VERBS:  # get_order, check_message
        verbs = [word for word in verbs if word != named[0]]
        verbs = [] if described[:1] and described[0] in ASKING_VERBS else verbs
    imperative = _IMPERATIVE.match(first_sentence) is not None
    if not verbs and imperative and named[:1] == list(described) and named[0] not in HARMLESS_VERBS:
        verbs = named[:1]  # `feed_cat`: "Feed the cat."
    if set(verbs) & CARRIER_VERBS:
        verbs += [word for word in named[1:] if word in EFFECT_VERBS]
    if verbs and all(verb in MILD_VERBS for verb in verbs) and _takes_only_numbers(tool):
        return frozenset()
    return frozenset(verbs)


def asks_for_effect(clause: Clause, verbs: frozenset[str]) -> Word | None:
    """The word of `clause` that asks for one of `verbs` to be done, if there is one.

    It must be where an imperative or a wish has its verb, not negated, not under a condition, not a question about it.
    """
    if clause.conditional:
        return None
    for index, word in enumerate(clause.words):
        if not any(alike(word.stem, verb) for verb in verbs):
            continue
        before = [earlier for earlier in clause.words[:index] if earlier.start < word.start]
        lead = clause.text[: word.start - clause.start]
        if _NEGATED.search(lead):
            continue
        if all(earlier.plain in PREAMBLE for earlier in before) or _is_wished([w.plain for w in before]):
            return word
    return None


def decided_verb(clause: Clause) -> Word | None:
    """The verb of `clause` that asks for something no reading tool can do ("delete …", "schedule a …")."""
    verb = asks_for_effect(clause, DECIDED_VERBS)
    if verb is None:
        return None
    following = clause.text[verb.end - clause.start :].lstrip()
    return verb if _OBJECT.match(following) else None


def _is_wished(before: list[str]) -> bool:
    """Whether a wish leads to the word: "I'd like to …", "I want you to …", "I need a refund", "… and please …"."""
    if before[:1] and before[0] in {"how", "why", "who", "what", "when", "where", "which", "did", "does", "was", "is"}:
        return False
    if before[-1] == "please":
        return True
    wished = any(word in _WISHES for word in before[-5:]) or "like" in before[-5:]
    return wished and before[-1] in {*_TO_VERB, "a", "an", "the"}


def _takes_only_numbers(tool: OfferedTool) -> bool:
    return all(
        parameter.numeric or (parameter.items is not None and parameter.items.numeric) for parameter in tool.parameters
    )
