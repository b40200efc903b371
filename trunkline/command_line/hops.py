"""Where the time of a job went, hop by hop: from its events, and nothing else. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

from schemas.events import (
    CallEnded,
    CallProgress,
    CallRetried,
    CallStarted,
    JobAccepted,
    JobEnded,
    JobEvent,
    JobStarted,
    ModelAnswered,
    ModelFailed,
    RequestedCall,
    TurnStarted,
)

__all__ = ["Hop", "call_names", "hops_of", "total_us", "workers_of_turns"]

HopKind = Literal["model", "call", "gather"]


@dataclass(frozen=True, slots=True)
class Hop:
    """One delivery of a message and the work that it caused; or the gathering of a turn's calls. Times are in µs."""

    turn: int
    kind: HopKind
    name: str
    """`model`, the tool's name, or `gather`."""
    queue: str | None = None
    worker: str | None = None
    waited_us: int | None = None
    """In the queue: from being sent to being fetched."""
    ran_us: int | None = None
    """The model call; the tool; from the fan-out to the last outcome. None if it did not run, or nobody knows."""
    outcome: str = ""
    """Empty if all went well."""
    index: int = 0
    attempt: int = 1


def hops_of(events: Iterable[JobEvent]) -> list[Hop]:
    """The hops of a job so far, turn by turn: the model, the calls by their index, the gathering."""
    reading = _Reading()
    for event in events:
        reading.read(event)
    return sorted(reading.hops, key=_place)


def total_us(events: Sequence[JobEvent]) -> int | None:
    """From a job's acceptance to its end; None if one of them is not there."""
    accepted = next((event.at_us for event in events if isinstance(event, JobAccepted)), None)
    ended = next((event.at_us for event in events if isinstance(event, JobEnded)), None)
    return None if accepted is None or ended is None else ended - accepted


def workers_of_turns(events: Iterable[JobEvent]) -> Mapping[int, Sequence[str]]:
    """The workers that ended the calls of each turn, a worker for each call."""
    workers: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, CallEnded) and event.worker is not None:
            workers.setdefault(event.turn, []).append(event.worker)
    return workers


def call_names(calls: Sequence[RequestedCall]) -> dict[int, str]:
    """What to call the calls of a turn, by index: the tool's name, with a number where it is called several times."""
    names = {call.index: call.tool.partition("@")[0] for call in calls}
    repeated = {name for name in names.values() if list(names.values()).count(name) > 1}
    seen: dict[str, int] = {}
    for index, name in sorted(names.items()):
        if name in repeated:
            seen[name] = seen.get(name, 0) + 1
            names[index] = f"{name} #{seen[name]}"
    return names


def _place(hop: Hop) -> tuple[int, int, int, int]:
    return hop.turn, {"model": 0, "call": 1, "gather": 2}[hop.kind], hop.index, hop.attempt


@dataclass
class _Turn:
    answered_us: int
    names: Mapping[int, str]
    pools: Mapping[int, str | None]
    open: set[int]


@dataclass
class _Reading:
    hops: list[Hop] = field(default_factory=list)
    turn_started: TurnStarted | None = None
    turns: dict[int, _Turn] = field(default_factory=dict)
    calls_started: dict[tuple[int, int], CallStarted] = field(default_factory=dict)

    def read(self, event: JobEvent) -> None:
        match event:
            case TurnStarted():
                if self.turn_started is not None:
                    self._model(self.turn_started.turn, None, "lost")
                self.turn_started = event
            case ModelFailed():
                self._model(event.turn, event.facts.elapsed_us, "failed")
            case ModelAnswered():
                self._model(event.turn, event.facts.elapsed_us, "")
                self.turns[event.turn] = _Turn(
                    answered_us=event.at_us,
                    names=call_names(event.calls),
                    pools={call.index: call.pool for call in event.calls},
                    open={call.index for call in event.calls},
                )
            case CallStarted():
                if (event.turn, event.index) in self.calls_started:
                    self._call(event.turn, event.index, None, "lost")
                self.calls_started[event.turn, event.index] = event
            case CallRetried():
                self._call(event.turn, event.index, event.elapsed_us, "tried again")
            case CallEnded():
                self._call(event.turn, event.index, event.elapsed_us, _outcome(event))
                self._gathered(event)
            case JobEnded():
                self._ended(event)
            case JobAccepted() | JobStarted() | CallProgress():
                pass
            case _:
                assert_never(event)

    def _model(self, turn: int, ran_us: int | None, outcome: str) -> None:
        worker, waited_us, attempt = _delivered(self.turn_started)
        self.turn_started = None
        self.hops.append(
            Hop(
                turn=turn,
                kind="model",
                name="model",
                queue="orchestrator",
                worker=worker,
                waited_us=waited_us,
                ran_us=ran_us,
                outcome=outcome,
                attempt=attempt,
            )
        )

    def _call(self, turn: int, index: int, ran_us: int | None, outcome: str) -> None:
        worker, waited_us, attempt = _delivered(self.calls_started.pop((turn, index), None))
        known = self.turns.get(turn)
        self.hops.append(
            Hop(
                turn=turn,
                kind="call",
                name=known.names.get(index, f"call {index}") if known else f"call {index}",
                queue=known.pools.get(index) if known else None,
                worker=worker,
                waited_us=waited_us,
                ran_us=ran_us,
                outcome=outcome,
                index=index,
                attempt=attempt,
            )
        )

    def _ended(self, event: JobEnded) -> None:
        if self.turn_started is not None:
            self._model(self.turn_started.turn, None, event.state)
        elif event.state == "failed" and self.hops and self.hops[-1].kind == "model":
            self.hops[-1] = replace(self.hops[-1], outcome="failed")  # no answer and no calls came of it

    def _gathered(self, event: CallEnded) -> None:
        turn = self.turns.get(event.turn)
        if turn is None or not turn.open:
            return
        turn.open.discard(event.index)
        if not turn.open:
            hop = Hop(turn=event.turn, kind="gather", name="gather", ran_us=event.at_us - turn.answered_us)
            self.hops.append(hop)


def _delivered(started: TurnStarted | CallStarted | None) -> tuple[str | None, int | None, int]:
    """The worker, how long the message waited in the queue, and which attempt it was."""
    if started is None:
        return None, None, 1
    return started.delivery.worker, started.delivery.fetched_us - started.delivery.enqueued_us, started.attempt


def _outcome(event: CallEnded) -> str:
    if event.outcome == "succeeded":
        return "cached" if event.cached else ""
    return event.outcome.replace("_", " ")
