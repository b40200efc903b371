"""What can go wrong with a tool, sorted by who has to act.

    WorkersError
    │   the engineer, before anything runs
    ├── ToolDeclarationError      the tool is written down wrongly
    ├── ToolLoadingError          a module with tools cannot be loaded
    │   the model, on its next turn
    ├── ArgumentsRejected         the arguments do not fit the tool
    ├── ToolFailed                the tool says why it could not do it (raised by tools)
    ├── NotDone                   the tool says that nothing was done (raised by tools)
    │   the engineer, once the tool has run
    ├── ResultNotSerializable     the result has no JSON form
    ├── ResultDoesNotFit          the result is not what the tool's return annotation says
    ├── ResultTooLarge            the result is larger than the deployment takes
    │   nobody
    ├── TimeLimitExceeded         the tool ran longer than it may
    ├── ToolProcessDied           the process in which the tool computed ended in the middle
    └── CallCancelled             the call was cancelled while the tool ran

This module must not know how any of them is handled.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = [
    "ArgumentProblem",
    "ArgumentsRejected",
    "CallCancelled",
    "NotDone",
    "ResultDoesNotFit",
    "ResultNotSerializable",
    "ResultTooLarge",
    "TimeLimitExceeded",
    "ToolDeclarationError",
    "ToolFailed",
    "ToolLoadingError",
    "ToolProcessDied",
    "WorkersError",
]

_MOST_PROBLEMS: Final = 20
"""A list of ten thousand wrong items is one mistake; the model gets the first few."""


class WorkersError(Exception):
    """Root of everything this package raises on purpose."""


class ToolDeclarationError(WorkersError):
    """A tool is written down wrongly: the process must not start."""

    def __init__(self, where: str, *, problem: str, remedy: str) -> None:
        """Say which function (`module.qualname`) it is, what is wrong with it, and what to do."""
        super().__init__(f"{where}: {problem}. {remedy}.")
        self.where = where
        self.problem = problem
        self.remedy = remedy


class ToolLoadingError(WorkersError):
    """A module with tools is not there, cannot be imported, or contradicts another one."""


class ArgumentProblem(NamedTuple):
    """One thing in the arguments for the model to fix."""

    path: str
    """Where, as `filters.cities[0]`; empty for the arguments as a whole."""
    problem: str
    """What is wrong there."""


class ArgumentsRejected(WorkersError):
    """The arguments do not fit the tool; the model can fix them.

    A tool may raise it too, for what a schema cannot say: `ArgumentsRejected([("until", "must be after from")])`.
    """

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        """Take pairs of path and problem, of which the first 20 are kept."""
        every = [ArgumentProblem(path, problem) for path, problem in problems]
        self.problems = every[:_MOST_PROBLEMS]
        self.omitted = len(every) - len(self.problems)
        lines = [f"{path}: {problem}" if path else problem for path, problem in self.problems]
        if self.omitted:
            lines.append(f"and {self.omitted} more")
        super().__init__("The arguments do not fit. " + "; ".join(lines))


class ToolFailed(WorkersError):
    """The tool could not do what it was asked, for a reason that the model should read, word by word."""


class NotDone(WorkersError):
    """Nothing was done, and the tool is sure of it; the message is for the model to read.

    Raised by tools. It is how an `unsafe` tool says that its call may count as failed: after any other exception nobody
    knows whether the deed was done, and the outcome is `unknown`.
    """


class CallCancelled(WorkersError):
    """The call was cancelled, or its job ended, while the tool ran."""


class ResultNotSerializable(WorkersError):
    """Something in the result has no JSON form."""

    def __init__(self, tool: str, *, problem: str) -> None:
        super().__init__(f"The result of {tool} has no JSON form: {problem}")
        self.tool = tool


class ResultDoesNotFit(WorkersError):
    """The result is not what the tool's return annotation says."""

    def __init__(self, tool: str, *, problems: Iterable[tuple[str, str]]) -> None:
        self.tool = tool
        self.problems = [ArgumentProblem(path, problem) for path, problem in problems][:_MOST_PROBLEMS]
        lines = "; ".join(f"{path}: {problem}" if path else problem for path, problem in self.problems)
        super().__init__(f"The result of {tool} does not fit its return annotation. {lines}")


class ResultTooLarge(WorkersError):
    """The result, as text, is larger than the deployment takes."""

    def __init__(self, tool: str, *, size: int, limit: int) -> None:
        """Take sizes in bytes of UTF-8."""
        super().__init__(f"The result of {tool} has {size:,} bytes; at most {limit:,} are taken")
        self.tool = tool
        self.size = size
        self.limit = limit


class TimeLimitExceeded(WorkersError):
    """The tool ran longer than it may."""

    def __init__(self, tool: str, *, limit_s: float) -> None:
        """Take the tool's own limit, in seconds; what its job had left may have been less."""
        super().__init__(
            f"{tool} did not finish within its time limit of {limit_s:g} s, or within what its job had left"
        )
        self.tool = tool
        self.limit_s = limit_s


class ToolProcessDied(WorkersError):
    """The process in which a `cpu_bound` tool computed ended in the middle."""

    def __init__(self, tool: str, *, exit_code: int | None) -> None:
        """Take how the process ended: its exit status, or minus the number of the signal that killed it."""
        super().__init__(f"The process of {tool} ended in the middle (exit code {exit_code})")
        self.tool = tool
        self.exit_code = exit_code
