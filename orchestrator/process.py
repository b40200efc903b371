"""An orchestrator process: `python -m orchestrator`, or `trunkline orchestrator`."""

from collections.abc import Awaitable, Callable

from messaging.command_runner import PipeliningRunner
from messaging.logging import configure_logging
from messaging.processes.worker_process import run_worker
from messaging.redis_access.clients import connection_errors
from messaging.settings import load_settings, resolve_redis_url
from orchestrator.app import Orchestrator, OrchestratorActors, build_broker, openai_model
from orchestrator.settings import OrchestratorSettings


def run(settings: OrchestratorSettings) -> None:
    """Runs an orchestrator until SIGTERM or SIGINT."""
    broker = build_broker(settings)
    model = openai_model(settings)

    def declare(runner: PipeliningRunner) -> Callable[[], Awaitable[None]]:
        actors = OrchestratorActors(broker, settings, Orchestrator.build(settings, runner=runner, model=model))
        actors.orchestrator()
        return model.close

    run_worker(broker, settings, declare, slots=settings.turns_at_once, stop_timeout=settings.stop_timeout)


def main() -> None:
    """Reads the environment and runs."""
    settings = load_settings(OrchestratorSettings)
    configure_logging(
        settings.log_level, settings.log_format, process_role="orchestrator", hidden_fields=settings.redact_fields
    )
    with connection_errors(resolve_redis_url(settings)):
        run(settings)
