"""The feed: what has ended, for those who tell the world of it. Each group of readers gets every entry once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from messaging.command import Command, Word, pairs, text, whole
from messaging.script import load_script

#: A reader that has not been heard of for this long is dead, and another one of its group takes over what it held.
READER_SILENCE: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """Something has ended."""

    id: str
    job_id: str
    what: Literal["turn", "job"]
    """`turn`: the calls of `turn` have their outcomes, and the job goes on. `job`: all of it is over."""
    turn: int
    """The turn that has ended, or the job's last one; 0 if it had none."""
    accepted_us: int
    """When the job was accepted."""
    sequence: int
    """Without gaps, in the order of the feed."""

    @property
    def ended_us(self) -> int:
        """When it ended, by Redis's clock, to the millisecond."""
        return int(self.id.partition("-")[0]) * 1000


@dataclass(frozen=True, slots=True)
class FeedRead:
    """What one read of the feed brought."""

    entries: Sequence[FeedEntry]
    now_us: int
    lag: int
    """How many entries no reader of the group has acknowledged, these included."""
    oldest_ms: int | None
    """When the oldest of them ended, ms since 1970."""

    @property
    def lag_s(self) -> float:
        """How long ago that was, seconds."""
        return 0.0 if self.oldest_ms is None else max(0.0, self.now_us / 1e6 - self.oldest_ms / 1e3)


@dataclass(frozen=True, slots=True)
class FeedLag:
    """What the readers of a group have not done yet."""

    entries: int
    age_s: float
    """How long ago the oldest of them ended; 0 if there is none."""


def read_feed(group: str, reader: str, *, room: int) -> Command[FeedRead]:
    """Says that a reader lives, and hands it at most `room` entries, those of dead readers first."""

    def decode(answer: list[Any]) -> FeedRead:
        return FeedRead(
            entries=[_entry(*fields) for fields in answer[3:]],
            now_us=int(answer[0]),
            lag=answer[1],
            oldest_ms=int(answer[2]) if answer[2] else None,
        )

    words = (group, reader, room, round(READER_SILENCE / timedelta(milliseconds=1)))
    return Command(load_script("ledger", "read_feed"), words, decode)


def acknowledge_feed(
    group: str, reader: str, entries: Sequence[FeedEntry], *, counts: Mapping[str, int]
) -> Command[int]:
    """Gives entries up for good, and adds `counts` to what the group has counted; answers how many were still open."""
    words: list[Word] = [group, reader, len(counts)]
    for name, by in counts.items():
        words += (name, by)
    words += (entry.id for entry in entries)
    return Command(load_script("ledger", "acknowledge_feed"), words, whole)


def leave_feed(group: str, reader: str) -> Command[int]:
    """A reader goes; what it holds is there for the others at once."""
    return Command(load_script("ledger", "leave_feed"), (group, reader), whole)


def read_feed_counts(namespace: str, group: str) -> Command[Mapping[str, int]]:
    """What a group has counted: `delivered` (a sequence number), `lost`, `taken_over`, and what its readers count."""

    def decode(answer: Any) -> Mapping[str, int]:
        return {name: int(value) for name, value in pairs(answer).items() if name != "last_id"}

    return Command(None, ("HGETALL", f"{namespace}:feed:group:{group}"), decode)


def read_feed_lag(group: str) -> Command[FeedLag]:
    """How far behind the readers of a group are, whoever they are."""

    def decode(answer: list[Any]) -> FeedLag:
        age_s = max(0.0, int(answer[0]) / 1e6 - int(answer[2]) / 1e3) if answer[2] else 0.0
        return FeedLag(entries=answer[1], age_s=age_s)

    return Command(load_script("ledger", "feed_lag"), (group,), decode)


def _entry(id: bytes, job: bytes, what: bytes, turn: bytes, accepted_us: bytes, sequence: bytes) -> FeedEntry:
    return FeedEntry(
        id=text(id),
        job_id=text(job),
        what="turn" if what == b"turn" else "job",
        turn=int(turn),
        accepted_us=int(accepted_us),
        sequence=int(sequence),
    )
