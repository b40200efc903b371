"""A model that says what it was told to say: for tests and benchmarks of everything around it."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from orchestrator.model_client import ModelAnswer, ModelRequest

Line = ModelAnswer | Exception | Callable[[ModelRequest], ModelAnswer]


@dataclass
class ScriptedModel:
    """Says its lines one after the other. A line is an answer, an exception, or a function of the request.

    Attributes:
        lines: What is left to say.
        otherwise: Said once the lines are used up.
        delay_s: How long each answer takes.
        requests: What it was asked, in order.
    """

    lines: list[Line] = field(default_factory=list)
    otherwise: Line | None = None
    delay_s: float = 0.0
    requests: list[ModelRequest] = field(default_factory=list)

    @classmethod
    def saying(cls, *lines: Line) -> "ScriptedModel":
        """A model that says `lines`."""
        return cls(lines=list(lines))

    def will_say(self, lines: Iterable[Line]) -> None:
        """Adds lines."""
        self.lines.extend(lines)

    async def complete(self, request: ModelRequest, *, timeout_s: float) -> ModelAnswer:
        """See `ModelClient.complete`."""
        self.requests.append(request)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        line = self.lines.pop(0) if self.lines else self.otherwise
        if line is None:
            raise AssertionError("the scripted model has nothing left to say")
        if isinstance(line, Exception):
            raise line
        return line(request) if callable(line) else line

    async def close(self) -> None:
        """See `ModelClient.close`."""
