"""The settings of a worker process."""

from datetime import timedelta

from pydantic import Field

from messaging.settings import DeploymentSettings, Duration


class WorkerSettings(DeploymentSettings):
    """Read once at the entry of a worker process and passed down."""

    pool: str | None = None
    """The pool to serve, or several, separated by commas; all whose tools are found by default."""
    tools: str = ""
    """Modules with tools of your own, separated by commas."""
    calls_at_once: int = Field(8, ge=1, le=10_000)
    """How many calls one process holds in flight: threads for plain functions, tasks for async ones."""
    inline_result_bytes: int = Field(32_768, ge=100)
    """A larger result is stored, and the model is given its beginning."""
    largest_result_bytes: int = Field(4_194_304, ge=1_000)
    """A larger result is an error outcome."""
    stop_timeout: Duration = timedelta(seconds=30)
    """How long calls in flight may go on after a stop before they are given back."""

    @property
    def pools(self) -> tuple[str, ...] | None:
        """The pools to serve, or None for all whose tools are found."""
        return None if self.pool is None else tuple(name.strip() for name in self.pool.split(","))

    @property
    def tool_modules(self) -> tuple[str, ...]:
        """The modules with tools of your own."""
        return tuple(module for part in self.tools.split(",") if (module := part.strip()))
