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
from telemetry.job_facts import Attempt, AttemptEnd, CallFacts, JobFacts, TurnFacts


def facts_of(record: JobRecord, events: Sequence[JobEvent]) -> JobFacts:
    """The facts of a job, as far as its events go."""
    reading = _Reading(record, events)
    for event in events:
        reading.read(event)
    return reading.facts()


@dataclass(slots=True)
class _Step:
    """The attempts of a turn or of a call, so far."""

    attempts: list[Attempt] = field(default_factory=list)
    ready_us: int = 0
    """Since when the message has waited, if it waits."""

    def begin(self, number: int, delivery: Delivered, at_us: int) -> None:
        self.lose(delivery)
        queued_us = self._queued_us(delivery)
        last = self.attempts[-1] if self.attempts else None
        if last is not None and last.end == "open":
            if last.number == number:  # it was put off before it tried anything: one wait, from the first time on
                queued_us = last.queued_us
                self.attempts.pop()
            else:
                _close(last, delivery.fetched_us, "lost")
        self.attempts.append(
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

    def lose(self, delivery: Delivered) -> None:
        """Takes in what a delivery tells of those before it that were lost."""
        for lost in delivery.lost:
            known = next((attempt for attempt in self.attempts if attempt.fetched_us == lost.fetched_us), None)
            if known is None:
                self.attempts.append(_lost_before_it_began(lost, delivery.message, self._queued_us(delivery)))
                self.ready_us = lost.lost_us
            elif known.end == "open":
                _close(known, lost.lost_us, "lost")
                self.ready_us = lost.lost_us

    def end(self, at_us: int, end: AttemptEnd, *, number: int | None = None, **changes: object) -> None:
        """Ends the attempt with this number, and stops whatever else is open; without a number all that is open."""
        for attempt in self.attempts:
            if number is not None and attempt.number == number and attempt.end in ("open", "lost"):
                _close(attempt, at_us, end)
                for name, value in changes.items():
                    setattr(attempt, name, value)
            elif attempt.end == "open":
                _close(attempt, at_us, "stopped" if number is not None else end)

    def waits_since_us(self, sent_us: int) -> int | None:
        """Since when its message has waited, sent or given back or put off, if no attempt has begun since."""
        if not self.attempts:
            return sent_us
        last = self.attempts[-1]
        is_put_off = last.end in ("retried", "lost") and self.ready_us >= (last.ended_us or 0)
        return self.ready_us if is_put_off else None

    def _queued_us(self, delivery: Delivered) -> int:
        return min(max(self.ready_us, delivery.enqueued_us), delivery.fetched_us)


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


@dataclass(slots=True)
class _Call:
    requested: RequestedCall
    sent_us: int
    step: _Step = field(default_factory=_Step)
    ended: CallEnded | None = None

    def facts(self) -> CallFacts:
        name, _, version = self.requested.tool.partition("@")
        ended = self.ended
        return CallFacts(
            index=self.requested.index,
            tool=name,
            version=version or None,
            pool=self.requested.pool,
            arguments=self.requested.arguments,
            tool_call_id=self.requested.tool_call_id,
            sent_us=self.sent_us,
            attempts=tuple(self.step.attempts),
            waits_since_us=self.step.waits_since_us(self.sent_us) if self.requested.pool is not None else None,
            ended_us=ended.at_us if ended else None,
            outcome=ended.outcome if ended else None,
            cached=ended is not None and ended.cached,
            elapsed_us=ended.elapsed_us if ended else None,
            result_bytes=ended.bytes if ended else None,
        )


@dataclass(slots=True)
class _Turn:
    number: int
    sent_us: int = 0
    step: _Step = field(default_factory=_Step)
    answered: ModelAnswered | None = None
    calls: dict[int, _Call] = field(default_factory=dict)

    def facts(self) -> TurnFacts:
        attempts = tuple(self.step.attempts)
        sent_us = attempts[0].queued_us if attempts else self.sent_us
        return TurnFacts(
            number=self.number,
            sent_us=sent_us,
            attempts=attempts,
            waits_since_us=self.step.waits_since_us(sent_us),
            answered_us=self.answered.at_us if self.answered else None,
            calls=tuple(call.facts() for _, call in sorted(self.calls.items())),
        )


@dataclass(slots=True)
class _Reading:
    record: JobRecord
    events: Sequence[JobEvent]
    turns: dict[int, _Turn] = field(default_factory=dict)
    started_us: int | None = None
    ended_us: int | None = None

    def facts(self) -> JobFacts:
        if self.record.turn and self.started_us is not None:
            self._turn(self.record.turn)  # it was sent, also if nobody has fetched it
        return JobFacts(
            record=self.record,
            started_us=self.started_us,
            ended_us=self.ended_us,
            turns=tuple(turn.facts() for _, turn in sorted(self.turns.items())),
            events=self.events,
        )

    def read(self, event: JobEvent) -> None:
        match event:
            case JobAccepted(waiting=waiting):
                self.started_us = None if waiting else event.at_us
            case JobStarted():
                self.started_us = event.at_us
            case TurnStarted():
                self._turn(event.turn).step.begin(event.attempt, event.delivery, event.at_us)
            case ModelFailed():
                self._model_failed(event)
            case ModelAnswered():
                self._model_answered(event)
            case CallStarted():
                if call := self._call(event):
                    call.step.begin(event.attempt, event.delivery, event.at_us)
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

    def _turn(self, number: int) -> _Turn:
        turn = self.turns.get(number)
        if turn is None:
            turn = self.turns[number] = _Turn(number, self._sent_us(number))
        return turn

    def _sent_us(self, number: int) -> int:
        """When a turn was sent: at the job's start, or with the last outcome of the turn before it."""
        before = self.turns.get(number - 1)
        outcomes = [call.ended.at_us for call in before.calls.values() if call.ended] if before else []
        return max(outcomes, default=self.started_us or self.record.accepted_us)

    def _call(self, event: CallStarted | CallRetried | CallEnded) -> _Call | None:
        return self._turn(event.turn).calls.get(event.index)

    def _model_failed(self, event: ModelFailed) -> None:
        step = self._turn(event.turn).step
        retry_us = None if event.retry_in_ms is None else event.at_us + event.retry_in_ms * 1000
        end: AttemptEnd = "failed" if retry_us is None else "retried"
        step.end(
            event.at_us,
            end,
            number=event.facts.attempt,
            error=event.error,
            error_type=event.facts.error_type or "_OTHER",
            model=event.facts,
            retry_us=retry_us,
        )
        step.ready_us = retry_us or event.at_us

    def _model_answered(self, event: ModelAnswered) -> None:
        turn = self._turn(event.turn)
        turn.step.end(event.at_us, "done", number=event.facts.attempt, model=event.facts)
        turn.answered = event
        turn.calls = {call.index: _Call(call, event.at_us) for call in event.calls}

    def _call_retried(self, event: CallRetried) -> None:
        if call := self._call(event):
            retry_us = event.at_us + event.retry_in_ms * 1000
            call.step.end(
                event.at_us,
                "retried",
                number=event.attempt,
                error=event.error,
                error_type=event.error.partition(":")[0],
                elapsed_us=event.elapsed_us,
                retry_us=retry_us,
            )
            call.step.ready_us = retry_us

    def _call_ended(self, event: CallEnded) -> None:
        if call := self._call(event):
            if event.delivery is not None:
                call.step.lose(event.delivery)
            if event.attempt is not None:
                call.step.end(event.at_us, "done", number=event.attempt, elapsed_us=event.elapsed_us)
            else:
                call.step.end(event.at_us, "stopped" if event.outcome == "cancelled" else "lost")
            call.ended = event

    def _job_ended(self, event: JobEnded) -> None:
        self.ended_us = event.at_us
        last = self.turns.get(max(self.turns, default=0))
        if event.delivery is not None:
            # Too many deliveries of its turn died, perhaps before one of them began.
            last = self._turn(max(self.record.turn, 1))
            last.step.lose(event.delivery)
        if last is not None:
            last.step.end(event.at_us, "failed" if event.state == "failed" else "stopped")
