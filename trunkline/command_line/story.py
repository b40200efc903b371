"""What happens to a job, told for people: a few lines for each event. Pure.

A line begins with the seconds since the job was accepted, by Redis's clock.
"""

from collections.abc import Callable
from typing import Final, assert_never

from rich.text import Text

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
    ModelAnswered,
    ModelFailed,
    RequestedCall,
    TurnStarted,
)
from schemas.job_result import JobError
from trunkline.command_line.hops import call_names
from trunkline.command_line.rendering import arguments_text, duration_text, one_line, plural, shortened
from trunkline.command_line.worker_process import FindProcess

__all__ = ["Story", "state_style", "why_not"]

_STYLES: Final = {"completed": "green", "running": "cyan", "waiting": "yellow", "failed": "red"}
_NARROWEST: Final = 24


class Story:
    """Tells a job's events, in their order.

    Args:
        process: Finds the process of a worker.
        result: What the model was told of a call that has ended, by turn and index; None if it cannot be had.
        width: Lines are shortened to it.
    """

    def __init__(self, *, process: FindProcess, result: Callable[[int, int], str | None], width: int) -> None:
        self._process = process
        self._result = result
        self._width = width
        self._began_us: int | None = None
        self._names: dict[tuple[int, int], str] = {}
        self._pools: dict[tuple[int, int], str] = {}
        self._open: set[tuple[int, int]] = set()
        self.state = "waiting"
        """What is going on now, in a few words, for a line that is redrawn."""

    def tell(self, event: JobEvent) -> list[Text]:
        """The lines of the next event; none if it says nothing new."""
        if self._began_us is None:
            self._began_us = event.at_us
        match event:
            case JobAccepted(waiting=waiting):
                self.state = "waits for the job before it" if waiting else "waits for the orchestrator"
                more = ", behind another job of its conversation" if waiting else ""
                return [self._line(event, "accepted", f"in {event.conversation_id}{more}", dim=True)]
            case JobStarted():
                self.state = "waits for the orchestrator"
                return [self._line(event, "started", "the jobs before it have ended", dim=True)]
            case TurnStarted():
                self.state = "waits for the model"
                return self._turn_started(event)
            case ModelFailed():
                pause_ms = event.retry_in_ms
                again = "" if pause_ms is None else f"; tried again in {duration_text(pause_ms * 1000)}"
                text = f"{one_line(event.error)}{again}"
                return [self._line(event, "model", text, mark="!", style="yellow", whole=True)]
            case ModelAnswered():
                return self._model_answered(event)
            case CallStarted():
                return [self._call_line(event, "▸", self._where(event.delivery, self._pools.get(_key(event), "")))]
            case CallProgress():
                return self._progress(event)
            case CallRetried():
                again = f"{one_line(event.error)}; tried again in {duration_text(event.retry_in_ms * 1000)}"
                return [self._call_line(event, "↻", again, style="yellow")]
            case CallEnded():
                return [self._call_ended(event)]
            case JobEnded():
                why = why_not(event.error, event.state)
                style = state_style(event.state)
                return [self._line(event, event.state, why, mark="●", style=style, whole=True)]
            case _:
                assert_never(event)

    def _turn_started(self, event: TurnStarted) -> list[Text]:
        if event.attempt == 1 and not event.delivery.crashes:
            return []
        died = ", the process before it died" if event.delivery.crashes else ""
        text = f"attempt {event.attempt}{died}: {self._where(event.delivery, 'orchestrator')}"
        return [self._line(event, f"turn {event.turn}", text, mark="↻", style="yellow")]

    def _model_answered(self, event: ModelAnswered) -> list[Text]:
        names = call_names(event.calls)
        for call in event.calls:
            self._names[event.turn, call.index] = names[call.index]
            self._pools[event.turn, call.index] = call.pool or ""
        self._open |= {(event.turn, call.index) for call in event.calls if call.outcome is None}
        self._note_open_calls()
        took = f"after {duration_text(event.facts.elapsed_us)}, {event.facts.model}"
        line = self._line(event, f"turn {event.turn}", f"{_what_it_said(event)} {took}", mark="●")
        return [line, *(self._requested(call, names[call.index]) for call in event.calls)]

    def _requested(self, call: RequestedCall, name: str) -> Text:
        line = self._padding().append(f"→ {name:<20} ", "bold")
        return line.append(shortened(arguments_text(call.arguments), self._room(line)))

    def _call_ended(self, event: CallEnded) -> Text:
        self._open.discard(_key(event))
        self._note_open_calls()
        succeeded = event.outcome == "succeeded"
        took = "cached" if event.cached else duration_text(event.elapsed_us) if event.elapsed_us is not None else ""
        result = self._result(event.turn, event.index)
        kind = "" if succeeded else event.outcome.replace("_", " ")
        text = ": ".join(part for part in (kind, result) if part)
        mark, style = ("✓", "green") if succeeded else ("✗", "red")
        return self._call_line(event, mark, text, style=style, took=f"{took:>7}  ")

    def _progress(self, event: CallProgress) -> list[Text]:
        share = "" if event.fraction is None else f"{event.fraction:.0%} "
        text = f"{share}{one_line(event.message)}"
        self.state = f"{self._names.get(_key(event), 'a call')}: {text}"
        return [self._call_line(event, "…", text)]

    def _note_open_calls(self) -> None:
        names = ", ".join(self._names[key] for key in sorted(self._open)[:4])
        more = f" and {len(self._open) - 4} more" if len(self._open) > 4 else ""
        self.state = f"waits for {names}{more}" if self._open else "waits for the orchestrator"

    def _where(self, delivery: Delivered, queue: str) -> str:
        process = self._process(delivery.worker)
        died = f", after {plural(delivery.crashes, 'crash')}" if delivery.crashes else ""
        where = f"{process or 'a process that is gone'}{died}"
        return f"{queue}, {where}" if queue else where

    def _call_line(
        self,
        event: CallStarted | CallProgress | CallRetried | CallEnded,
        mark: str,
        text: str,
        *,
        style: str = "dim",
        took: str = "",
    ) -> Text:
        name = self._names.get(_key(event), f"call {event.turn}/{event.index}")
        line = self._time(event).append(f"{mark} ", style).append(f"{name:<20} ", style if style == "dim" else "")
        line.append(took)
        return line.append(shortened(text, self._room(line)), "dim")

    def _line(
        self,
        event: JobEvent,
        head: str,
        text: str,
        *,
        mark: str = " ",
        style: str = "cyan",
        dim: bool = False,
        whole: bool = False,
    ) -> Text:
        line = self._time(event).append(f"{mark} ", style).append(f"{head:<9} ", "dim" if dim else f"bold {style}")
        return line.append(text if whole else shortened(text, self._room(line)), "dim" if dim else "")

    def _time(self, event: JobEvent) -> Text:
        assert self._began_us is not None
        return Text().append(f"{max(event.at_us - self._began_us, 0) / 1e6:9.3f} s  ", "dim")

    def _padding(self) -> Text:
        return Text(" " * 13)

    def _room(self, line: Text) -> int:
        return max(self._width - len(line), _NARROWEST)


def why_not(error: JobError | None, state: str) -> str:
    """Why a job did not complete: a code unless its state says as much, and the reason."""
    if error is None:
        return ""
    code = {"cancelled": "cancelled", "expired": "deadline"}.get(state)
    message = one_line(error.message)
    return message if error.code == code else f"{error.code}: {message}"


def state_style(state: str) -> str:
    """The colour of a job's state."""
    return _STYLES.get(state, "magenta")


def _what_it_said(event: ModelAnswered) -> str:
    if event.calls:
        return f"the model asks for {plural(len(event.calls), 'call')}"
    # Without calls and without an answer the job fails next, and says why.
    return "the model's turn ends" if event.facts.finish_reason in (None, "tool_calls") else "the model answers"


def _key(event: CallStarted | CallProgress | CallRetried | CallEnded) -> tuple[int, int]:
    return event.turn, event.index
