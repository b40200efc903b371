"""The facts of one job, in the shape in which traces and metrics ask for them. Pure: a record and events in, facts out.

A job has turns; a turn and each of its calls is a step that is attempted until it is done. All times are microseconds
since 1970 by Redis's clock. What is not known is None, and nothing is guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from ledger.feed import FeedEntry
from ledger.job_record import JobRecord
from schemas.call import OutcomeKind
from schemas.events import JobEvent, ModelFacts

#: A job that is older than this when one of its turns has ended is reported turn by turn, the others at their end.
LONG_JOB_US: Final = 10_000_000

AttemptEnd = Literal["done", "retried", "failed", "lost", "stopped", "open"]
"""How an attempt ended:

- `done`: with what it was for: an answer of the model, or an outcome of the call;
- `retried`: it failed, and is tried again;
- `failed`: it failed for good;
- `lost`: its worker died, or gave it back;
- `stopped`: the job ended, or another attempt was quicker;
- `open`: it has not.
"""


# What is made often is not frozen: that would take three times as long.


@dataclass(slots=True)
class Attempt:
    """One delivery of a step's message: its wait in the queue, and the work."""

    number: int | None
    """From 1; None if it was lost before it began."""
    worker: str
    message: str
    queued_us: int
    """Since when its message waited in the queue: it was sent, its pause was over, or it was given back."""
    fetched_us: int
    throttled_us: int
    """How much of the wait was owed to the queue's rate."""
    began_us: int | None
    ended_us: int | None
    end: AttemptEnd
    error: str = ""
    """What happened, for people. It may quote content."""
    error_type: str = ""
    """The class of it."""
    elapsed_us: int | None = None
    """How long the tool ran, of a call."""
    model: ModelFacts | None = None
    """The model call, of a turn."""
    retry_us: int | None = None
    """When it is tried again."""


@dataclass(slots=True, kw_only=True)
class Step:
    """What turns and calls have in common: a message, and attempts at what it asks for."""

    sent_us: int
    """When its message was enqueued."""
    attempts: list[Attempt] = field(default_factory=list)
    ready_us: int = 0
    """Since when, or from when on, its message waited before its last attempt, if it was given back or put off."""

    @property
    def waits_since_us(self) -> int | None:
        """Since when, or from when on, its message waits; None if the last attempt began after that."""
        if not self.attempts:
            return self.sent_us
        last = self.attempts[-1]
        is_put_off = last.end in ("retried", "lost") and self.ready_us >= (last.ended_us or 0)
        return self.ready_us if is_put_off else None


@dataclass(slots=True, kw_only=True)
class CallFacts(Step):
    """A tool call."""

    index: int
    tool: str
    """Its name, as the model used it."""
    version: str | None
    """None if the catalogue had no such tool."""
    pool: str | None
    """None if it was refused before it was sent."""
    arguments: str
    tool_call_id: str
    """The model's."""
    ended_us: int | None = None
    """When its outcome was recorded."""
    outcome: OutcomeKind | None = None
    cached: bool = False
    elapsed_us: int | None = None
    """How long its last attempt ran."""
    result_bytes: int | None = None


@dataclass(slots=True, kw_only=True)
class TurnFacts(Step):
    """A model call with its attempts, and the calls that the model asked for."""

    number: int
    answered_us: int | None = None
    """When the model's answer was recorded."""
    calls: Sequence[CallFacts] = ()

    @property
    def gathered_us(self) -> int | None:
        """When the last of its calls had its outcome; None if it has no calls, or one is open."""
        ended = [call.ended_us for call in self.calls]
        return max(us for us in ended if us is not None) if ended and None not in ended else None


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job."""

    record: JobRecord
    started_us: int | None
    """When the jobs before it in its conversation had ended; its acceptance without any. None: it still waits."""
    ended_us: int | None
    turns: Sequence[TurnFacts]
    events: Sequence[JobEvent]
    """What all this was read from."""

    @property
    def job_id(self) -> str:
        """Its id."""
        return self.record.job_id


def reported_turns(facts: JobFacts, entry: FeedEntry) -> Sequence[TurnFacts]:
    """The turns of which an entry of the feed is the occasion to tell: each has one such entry, whenever it is read.

    The end of a job is the occasion for all of them, except for a long job: there each turn has its own, and the first
    turn that ends late is the occasion for those before it.
    """
    last = entry.turn
    late = [turn.number for turn in _late_turns(facts)]
    if entry.what == "turn" and last not in late:
        return ()
    told_before = max((number for number in late if number < last), default=0)
    return [turn for turn in facts.turns if told_before < turn.number <= last]


def has_been_long(facts: JobFacts) -> bool:
    """Whether a turn of the job ended late; then it is reported turn by turn."""
    return bool(_late_turns(facts))


def may_report(entry: FeedEntry) -> bool:
    """Whether an entry can be an occasion to tell anything, as far as it says so itself."""
    return entry.what == "job" or entry.ended_us - entry.accepted_us >= LONG_JOB_US - 1_000_000


def _late_turns(facts: JobFacts) -> Sequence[TurnFacts]:
    late_us = facts.record.accepted_us + LONG_JOB_US
    if facts.ended_us is not None and facts.ended_us < late_us:
        return ()
    return [turn for turn in facts.turns if turn.number < facts.record.turn and (turn.gathered_us or 0) >= late_us]
