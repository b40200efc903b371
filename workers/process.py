"""A worker process: `python -m workers`, or `trunkline worker --pool NAME`."""

from messaging.command_runner import PipeliningRunner
from messaging.logging import configure_logging
from messaging.processes.worker_process import run_worker
from messaging.redis_access.clients import connection_errors
from messaging.settings import load_settings, resolve_redis_url
from workers.app import WorkerActors, build_broker
from workers.registry import ToolRegistry
from workers.settings import WorkerSettings


def run(settings: WorkerSettings) -> None:
    """Runs a worker until SIGTERM or SIGINT.

    Raises:
        ToolLoadingError: A module with tools cannot be loaded, or the pool has no tool.
        ToolDeclarationError: A tool is declared wrongly.
    """
    registry = ToolRegistry.load(modules=settings.tool_modules, pools=settings.pools)
    broker = build_broker(settings, registry)

    def declare(runner: PipeliningRunner) -> None:
        WorkerActors(broker, settings, registry, runner)

    run_worker(broker, settings, declare, slots=settings.calls_at_once, stop_timeout=settings.stop_timeout)


def main() -> None:
    """Reads the environment and runs."""
    settings = load_settings(WorkerSettings)
    configure_logging(
        settings.log_level, settings.log_format, process_role="worker", hidden_fields=settings.redact_fields
    )
    with connection_errors(resolve_redis_url(settings)):
        run(settings)
