"""Which jobs' traces are exported: decided at the end, when it is known what happened. Pure.

All that failed, expired, needed another attempt or was slow; all that the upstream's trace context asks for; and of the
rest a share, by the trace's id, so that every process decides the same.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from telemetry.job_facts import Attempt, JobFacts, has_been_long

_SAMPLED_FLAG: Final = 1
_KEPT_ENDS: Final = frozenset({"retried", "failed", "lost"})


@dataclass(frozen=True, slots=True)
class Sampling:
    """What is kept."""

    share: float = 1.0
    """Of jobs that are not remarkable."""
    slow_after: timedelta = timedelta(seconds=10)
    keep_remarkable: bool = True
    """Whether those are kept whatever the share."""
    follow_upstream: bool = True
    """Whether the upstream's trace context decides where there is one."""

    def keeps(self, facts: JobFacts) -> bool:
        """Whether the job's trace is exported."""
        if self.keep_remarkable and is_remarkable(facts, slow_after=self.slow_after):
            return True
        traceparent = facts.record.terms.traceparent
        if traceparent is not None and self.follow_upstream:
            return bool(int(traceparent.rpartition("-")[2], 16) & _SAMPLED_FLAG)
        # The lower half of the id decides, as in OpenTelemetry's own sampler by share.
        return int(facts.record.trace_id[16:], 16) < self.share * 2**64


def is_remarkable(facts: JobFacts, *, slow_after: timedelta) -> bool:
    """Whether somebody will want to know what happened to the job."""
    if facts.record.state in ("failed", "expired") or has_been_long(facts):
        return True
    took_us = (facts.ended_us or 0) - facts.record.accepted_us
    return took_us >= slow_after / timedelta(microseconds=1) or any(
        _was_repeated(attempt)
        for turn in facts.turns
        for attempt in (*turn.attempts, *(attempt for call in turn.calls for attempt in call.attempts))
    )


def _was_repeated(attempt: Attempt) -> bool:
    return attempt.end in _KEPT_ENDS or attempt.number != 1
