"""The metrics in Redis: added to together with the acknowledgement of the feed, and read. Commands only.

Keys: see `lua/apply_metrics.lua` and `lua/admit_labels.lua`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from messaging.command import Command, Word, pairs, text
from messaging.script import load_script
from telemetry.metrics.fields import TOTALS, Additions

__all__ = ["StoredMetrics", "admit_labels", "apply_metrics", "read_hashes", "read_metrics"]


@dataclass(frozen=True, slots=True)
class StoredMetrics:
    """What is kept since the beginning.

    Attributes:
        totals: Numbers by field.
        exemplars: Exemplars by field.
        since_us: When the totals began, µs since 1970; None before the first entry.
    """

    totals: Mapping[str, int]
    exemplars: Mapping[str, str]
    since_us: int | None


def apply_metrics(group: str, reader: str, entry_ids: Sequence[str], additions: Additions) -> Command[bool]:
    """Adds what some entries of the feed come to, and acknowledges them, in one step.

    False if not all of them are held by this reader any more: then nothing has changed.
    """
    words: list[Word] = [group, reader, len(entry_ids), *entry_ids, len(additions.by_hash)]
    for name, fields in additions.by_hash.items():
        words += (name, additions.expires_s.get(name, 0), len(fields))
        for field, number in fields.items():
            words += (field, number)
    words.append(len(additions.exemplars))
    for field, exemplar in additions.exemplars.items():
        words += (field, exemplar)
    return Command(load_script("telemetry", "apply_metrics"), words, bool)


def admit_labels(label: str, values: Sequence[str], *, most: int) -> Command[frozenset[str]]:
    """Asks for series of their own for values of a label; answers those that get them."""
    return Command(
        load_script("telemetry", "admit_labels"),
        (label, most, *values),
        lambda answer: frozenset(text(value) for value in answer),
    )


def read_metrics() -> Command[StoredMetrics]:
    """Everything since the beginning."""

    def decode(answer: list[Any]) -> StoredMetrics:
        totals, exemplars, since = answer
        return StoredMetrics(
            totals=_numbers(totals), exemplars=pairs(exemplars), since_us=None if since is None else int(since)
        )

    return Command(load_script("telemetry", "read_metrics"), (TOTALS,), decode)


def read_hashes(names: Sequence[str]) -> Command[Sequence[Mapping[str, int]]]:
    """The numbers of some minutes or hours; those without any are empty."""
    script = load_script("telemetry", "read_hashes")
    return Command(script, names, lambda answer: [_numbers(fields) for fields in answer])


def _numbers(answer: Any) -> Mapping[str, int]:
    return {field: int(number) for field, number in pairs(answer).items()}
