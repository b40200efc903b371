"""What a feed entry adds to the metrics. Pure: facts in, measurements out.

Each turn is measured once, and a job at its end, whatever entries of it are read by which process; `reported_turns`
says which entry is the occasion.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.feed import FeedEntry
from schemas.call import OutcomeKind
from schemas.events import ModelFacts
from schemas.wire import call_id
from telemetry import conventions as names
from telemetry.job_facts import Attempt, CallFacts, JobFacts, TurnFacts, reported_turns
from telemetry.metrics import instruments as of
from telemetry.metrics.measurements import Measurement
from telemetry.metrics.prices import Prices

__all__ = ["ERRORS", "HasTrace", "Measuring"]

ORCHESTRATOR: Final = "orchestrator"
UNKNOWN_TOOL: Final = "unknown"
"""Models make names up; each would be a series."""

ERRORS: Final[frozenset[OutcomeKind]] = frozenset({"rejected", "denied", "failed", "timed_out", "unknown"})
"""Outcomes that count as errors of a tool. A cancelled call was not wanted any more."""

_RAN: Final[frozenset[OutcomeKind]] = frozenset({"succeeded", "failed", "timed_out", "unknown"})
_OTHER: Final = "_OTHER"
_NO_ERROR: Final = ""


HasTrace = Callable[[JobFacts], bool]


@dataclass(frozen=True, slots=True)
class Measuring:
    """Measures facts.

    Attributes:
        prices: What tokens cost.
        has_trace: Whether a job's trace is exported for sure, so that its values may be exemplars.
    """

    prices: Prices
    has_trace: HasTrace

    def measure(self, facts: JobFacts, entry: FeedEntry) -> Sequence[Measurement]:
        """What `entry` is the occasion to measure, of the job that it is about."""
        measurements = [measured for turn in reported_turns(facts, entry) for measured in self._turn(facts, turn)]
        if entry.what == "job" and facts.ended_us is not None:
            measurements += _job(facts, facts.ended_us)
        if not self.has_trace(facts):
            for measurement in measurements:
                measurement.span = None
        return measurements

    def _turn(self, facts: JobFacts, turn: TurnFacts) -> Iterator[Measurement]:
        step = f"{facts.job_id}/{turn.number}"
        yield _message(of.SENT_MESSAGES, names.SEND, ORCHESTRATOR, turn.sent_us)
        for attempt in turn.attempts:
            yield from _attempt(facts, step, attempt, ORCHESTRATOR)
            if attempt.model is not None and attempt.ended_us is not None:
                yield from self._model_call(facts, step, attempt, attempt.model, attempt.ended_us)
        for call in turn.calls:
            yield from _call(facts, call, call_id(facts.job_id, turn.number, call.index))

    def _model_call(
        self, facts: JobFacts, step: str, attempt: Attempt, model: ModelFacts, at_us: int
    ) -> Iterator[Measurement]:
        span = (facts.record.trace_id, step, model.attempt)
        chat = (names.CHAT, names.PROVIDER_OPENAI, model.model)
        failed = attempt.end in ("retried", "failed")
        error = (attempt.error_type or _OTHER) if failed else _NO_ERROR
        yield Measurement(of.CLIENT_OPERATION_DURATION, (*chat, error), model.elapsed_us / 1e6, at_us, span)
        tenant = facts.record.tenant
        for kind, tokens in (("input", model.prompt_tokens), ("output", model.completion_tokens)):
            if tokens is not None:
                yield Measurement(of.CLIENT_TOKEN_USAGE, (*chat, kind), tokens, at_us, span)
                yield Measurement(of.TOKENS, (model.model, tenant, kind), tokens, at_us)
        cost = self.prices.cost(
            model.model, input_tokens=model.prompt_tokens or 0, output_tokens=model.completion_tokens or 0
        )
        if cost is not None:
            yield Measurement(of.COST, (model.model, tenant, self.prices.currency), cost, at_us)


def _call(facts: JobFacts, call: CallFacts, id: str) -> Iterator[Measurement]:
    if call.ended_us is None or call.outcome is None:
        return
    at_us = call.ended_us
    tool = (UNKNOWN_TOOL, "", "") if call.version is None else (call.tool, call.version, call.pool or "")
    began = [attempt for attempt in call.attempts if attempt.number is not None]
    span = (facts.record.trace_id, id, began[-1].number or 1) if began else None
    yield Measurement(of.TOOL_CALLS, (*tool, call.outcome), 1, at_us)
    if call.pool is not None:
        error = _NO_ERROR if call.outcome == "succeeded" else call.outcome
        yield _message(of.SENT_MESSAGES, names.SEND, call.pool, call.sent_us)
        yield Measurement(of.EXECUTE_TOOL_DURATION, (tool[0], error), (at_us - call.sent_us) / 1e6, at_us, span)
    if call.cached:
        yield Measurement(of.TOOL_CACHE_HITS, tool, 1, at_us)
    elif call.elapsed_us is not None and call.outcome in _RAN:
        yield Measurement(of.TOOL_DURATION, tool, call.elapsed_us / 1e6, at_us, span)
    if len(began) > 1:
        yield Measurement(of.TOOL_RETRIES, tool, len(began) - 1, at_us)
    for attempt in call.attempts:
        yield from _attempt(facts, id, attempt, call.pool or "")


def _attempt(facts: JobFacts, step: str, attempt: Attempt, queue: str) -> Iterator[Measurement]:
    at_us = attempt.ended_us or attempt.fetched_us
    if attempt.end == "lost":
        yield Measurement(of.LOST_DELIVERIES, (queue,), 1, at_us)
    if attempt.number is None or attempt.began_us is None:
        return
    span = (facts.record.trace_id, step, attempt.number)
    yield _message(of.CONSUMED_MESSAGES, names.PROCESS, queue, attempt.began_us)
    yield Measurement(of.QUEUE_WAIT, (queue,), max(0, attempt.fetched_us - attempt.queued_us) / 1e6, at_us, span)
    if attempt.ended_us is not None:
        error = _NO_ERROR if attempt.end in ("done", "stopped") else attempt.error_type or attempt.end
        labels = (names.REDIS, names.PROCESS, queue, error)
        elapsed_us = max(0, attempt.ended_us - attempt.fetched_us)
        yield Measurement(of.PROCESS_DURATION, labels, elapsed_us / 1e6, at_us, span)


def _job(facts: JobFacts, at_us: int) -> Iterator[Measurement]:
    record = facts.record
    span = (record.trace_id, facts.job_id, None)
    called = [attempt.model.model for turn in facts.turns for attempt in turn.attempts if attempt.model is not None]
    model = record.terms.model or (called[0] if called else "")
    elapsed_s = (at_us - record.accepted_us) / 1e6
    error = _NO_ERROR if record.state == "completed" else (record.error.code if record.error else record.state)
    yield Measurement(of.JOBS, (record.state, model, record.tenant), 1, at_us)
    yield Measurement(of.JOB_DURATION, (record.state, model), elapsed_s, at_us, span)
    yield Measurement(of.INVOKE_AGENT_DURATION, (record.terms.agent or "", error), elapsed_s, at_us, span)
    yield Measurement(of.JOB_TURNS, (model,), len(facts.turns), at_us)
    yield Measurement(of.JOB_CALLS, (model,), sum(len(turn.calls) for turn in facts.turns), at_us)


def _message(instrument: of.Instrument, operation: str, queue: str, at_us: int) -> Measurement:
    return Measurement(instrument, (names.REDIS, operation, queue), 1, at_us)
