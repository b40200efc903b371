"""From a job's record and events to its facts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from ledger.job_record import JobRecord
from schemas.events import (
    CallEnded,
    CallProgress,
    CallRetried,
    CallStarted,
    Delivered,
    JobAccepted,
    JobEnded,
    JobEvent,
    JobStarted,
    LostDelivery,
    ModelAnswered,
    ModelFailed,
    RequestedCall,
    TurnStarted,
)
from telemetry.job_facts import Attempt, AttemptEnd, CallFacts, JobFacts, Step, TurnFacts


def facts_of(record: JobRecord, events: Sequence[JobEvent]) -> JobFacts:
    """The facts of a job, as far as its events go."""
    reading = _Reading(record, events)
    for event in events:
        reading.read(event)
    return reading.facts()


@dataclass(slots=True)
class _Reading:
    record: JobRecord
    events: Sequence[JobEvent]
    turns: dict[int, TurnFacts] = field(default_factory=dict)
    calls: dict[tuple[int, int], CallFacts] = field(default_factory=dict)
    """By turn and index."""
    started_us: int | None = None
    ended_us: int | None = None

    def facts(self) -> JobFacts:
        if self.record.turn and self.started_us is not None:
            self._turn(self.record.turn)  # it was sent, also if nobody has fetched it
        return JobFacts(
            record=self.record,
            started_us=self.started_us,
            ended_us=self.ended_us,
            turns=[turn for _, turn in sorted(self.turns.items())],
            events=self.events,
        )

    def read(self, event: JobEvent) -> None:
        match event:
            case JobAccepted(waiting=waiting):
                self.started_us = None if waiting else event.at_us
            case JobStarted():
                self.started_us = event.at_us
            case TurnStarted():
                _begin(self._turn(event.turn), event.attempt, event.delivery, event.at_us)
            case ModelFailed():
                self._model_failed(event)
            case ModelAnswered():
                self._model_answered(event)
            case CallStarted():
                if call := self._call(event):
                    _begin(call, event.attempt, event.delivery, event.at_us)
            case CallRetried():
                self._call_retried(event)
            case CallEnded():
                self._call_ended(event)
            case JobEnded():
                self._job_ended(event)
            case CallProgress():
                pass
            case _:
                assert_never(event)

    def _turn(self, number: int) -> TurnFacts:
        turn = self.turns.get(number)
        if turn is None:
            turn = self.turns[number] = TurnFacts(number=number, sent_us=self._sent_us(number))
        return turn

    def _sent_us(self, number: int) -> int:
        """When a turn was sent: at the job's start, or with the last outcome of the turn before it."""
        before = self.turns.get(number - 1)
        return (before and before.gathered_us) or self.started_us or self.record.accepted_us

    def _call(self, event: CallStarted | CallRetried | CallEnded) -> CallFacts | None:
        return self.calls.get((event.turn, event.index))

    def _model_failed(self, event: ModelFailed) -> None:
        turn = self._turn(event.turn)
        retry_us = None if event.retry_in_ms is None else event.at_us + event.retry_in_ms * 1000
        end: AttemptEnd = "failed" if retry_us is None else "retried"
        _end(
            turn,
            event.at_us,
            end,
            number=event.facts.attempt,
            error=event.error,
            error_type=event.facts.error_type or "_OTHER",
            model=event.facts,
            retry_us=retry_us,
        )
        turn.ready_us = retry_us or event.at_us

    def _model_answered(self, event: ModelAnswered) -> None:
        turn = self._turn(event.turn)
        _end(turn, event.at_us, "done", number=event.facts.attempt, model=event.facts)
        turn.answered_us = event.at_us
        turn.calls = [_call_of(requested, event.at_us) for requested in event.calls]
        self.calls |= {(event.turn, call.index): call for call in turn.calls}

    def _call_retried(self, event: CallRetried) -> None:
        if call := self._call(event):
            retry_us = event.at_us + event.retry_in_ms * 1000
            _end(
                call,
                event.at_us,
                "retried",
                number=event.attempt,
                error=event.error,
                error_type=event.error.partition(":")[0],
                elapsed_us=event.elapsed_us,
                retry_us=retry_us,
            )
            call.ready_us = retry_us

    def _call_ended(self, event: CallEnded) -> None:
        if call := self._call(event):
            if event.delivery is not None:
                _lose(call, event.delivery)
            if event.attempt is not None:
                _end(call, event.at_us, "done", number=event.attempt, elapsed_us=event.elapsed_us)
            else:
                _end(call, event.at_us, "stopped" if event.outcome == "cancelled" else "lost")
            call.ended_us, call.outcome, call.cached = event.at_us, event.outcome, event.cached
            call.elapsed_us, call.result_bytes = event.elapsed_us, event.bytes

    def _job_ended(self, event: JobEnded) -> None:
        self.ended_us = event.at_us
        last = self.turns.get(max(self.turns, default=0))
        if event.delivery is not None:
            # Too many deliveries of its turn died, perhaps before one of them began.
            last = self._turn(max(self.record.turn, 1))
            _lose(last, event.delivery)
        if last is not None:
            _end(last, event.at_us, "failed" if event.state == "failed" else "stopped")


def _call_of(requested: RequestedCall, sent_us: int) -> CallFacts:
    name, _, version = requested.tool.partition("@")
    return CallFacts(
        index=requested.index,
        tool=name,
        version=version or None,
        pool=requested.pool,
        arguments=requested.arguments,
        tool_call_id=requested.tool_call_id,
        sent_us=sent_us,
    )


def _begin(step: Step, number: int, delivery: Delivered, at_us: int) -> None:
    _lose(step, delivery)
    queued_us = _queued_us(step, delivery)
    last = step.attempts[-1] if step.attempts else None
    if last is not None and last.end == "open":
        if last.number == number:  # it was put off before it tried anything: one wait, from the first time on
            queued_us = last.queued_us
            step.attempts.pop()
        else:
            _close(last, delivery.fetched_us, "lost")
    step.attempts.append(
        Attempt(
            number=number,
            worker=delivery.worker,
            message=delivery.message,
            queued_us=queued_us,
            fetched_us=delivery.fetched_us,
            throttled_us=min(delivery.throttled_us, delivery.fetched_us - queued_us),
            began_us=at_us,
            ended_us=None,
            end="open",
        )
    )


def _lose(step: Step, delivery: Delivered) -> None:
    """Takes in what a delivery tells of those before it that were lost."""
    for lost in delivery.lost:
        known = next((attempt for attempt in step.attempts if attempt.fetched_us == lost.fetched_us), None)
        if known is None:
            step.attempts.append(_lost_before_it_began(lost, delivery.message, _queued_us(step, delivery)))
            step.ready_us = lost.lost_us
        elif known.end == "open":
            _close(known, lost.lost_us, "lost")
            step.ready_us = lost.lost_us


def _end(step: Step, at_us: int, end: AttemptEnd, *, number: int | None = None, **changes: object) -> None:
    """Ends the attempt with this number, and stops whatever else is open; without a number all that is open."""
    for attempt in step.attempts:
        if number is not None and attempt.number == number and attempt.end in ("open", "lost"):
            _close(attempt, at_us, end)
            for name, value in changes.items():
                setattr(attempt, name, value)
        elif attempt.end == "open":
            _close(attempt, at_us, "stopped" if number is not None else end)


def _queued_us(step: Step, delivery: Delivered) -> int:
    return min(max(step.ready_us, delivery.enqueued_us), delivery.fetched_us)


def _close(attempt: Attempt, at_us: int, end: AttemptEnd) -> None:
    attempt.ended_us, attempt.end = at_us, end


def _lost_before_it_began(lost: LostDelivery, message: str, queued_us: int) -> Attempt:
    fetched_us = lost.fetched_us or lost.lost_us
    return Attempt(
        number=None,
        worker=lost.worker,
        message=message,
        queued_us=min(queued_us, fetched_us),
        fetched_us=fetched_us,
        throttled_us=0,
        began_us=None,
        ended_us=lost.lost_us,
        end="lost",
    )
