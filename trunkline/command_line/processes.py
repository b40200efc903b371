"""`trunkline orchestrator`, `worker` and `telemetry`: processes of a deployment that somebody else keeps running.

What is wrong is said here, before anything is started: a child that dies at its start would be started for ever. Then
this process becomes a supervisor, which carries nothing of the command line.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.command_line.failures import BadInput
from trunkline.command_line.output import JsonOption, Output

if TYPE_CHECKING:
    from datetime import timedelta

    from messaging.processes.supervisor import ChildSpec
    from messaging.settings import DeploymentSettings

__all__ = ["orchestrator", "telemetry", "worker"]

_Processes = Annotated[int, typer.Option(min=1, max=256, help="How many; one that dies is started again.")]


def orchestrator(
    processes: _Processes = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="How many turns each holds in flight; 500 by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run orchestrators, which take jobs in and call the model, until SIGTERM or Ctrl-C."""
    from messaging.settings import load_settings
    from orchestrator.settings import OrchestratorSettings
    from trunkline.command_line.children import orchestrator_children, orchestrator_environment

    overrides = {} if threads is None else {"turns_at_once": threads}
    settings = load_settings(OrchestratorSettings, **overrides)
    children = orchestrator_children(processes, orchestrator_environment(threads=threads))
    _run(children, settings, stop_timeout=settings.stop_timeout, output=Output(as_json=as_json))


def worker(
    pool: Annotated[str, typer.Option(metavar="NAME", envvar="TRUNKLINE_POOL", help="The pool whose calls it takes.")],
    processes: _Processes = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="How many calls each holds in flight; 8 by default.")
    ] = None,
    tools: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE", help="A module with tools of your own: pkg.tools or ./my_tools.py."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run workers, which perform the tool calls of one pool, until SIGTERM or Ctrl-C."""
    from messaging.settings import load_settings
    from trunkline.command_line.children import worker_children, worker_environment
    from workers.registry import ToolRegistry
    from workers.settings import WorkerSettings

    environment = worker_environment(pool=pool, tools=tools or (), threads=threads)
    given = {"pool": pool, "tools": environment.get("TRUNKLINE_TOOLS"), "calls_at_once": threads}
    settings = load_settings(WorkerSettings, **{name: value for name, value in given.items() if value is not None})
    ToolRegistry.load(modules=settings.tool_modules, pools=settings.pools)
    children = worker_children(processes, environment)
    _run(children, settings, stop_timeout=settings.stop_timeout, output=Output(as_json=as_json))


def telemetry(processes: _Processes = 1, as_json: JsonOption = False) -> None:
    """Run telemetry, which makes traces and metrics of what has ended, until SIGTERM or Ctrl-C.

    Jobs do not need it: without it, what the feed still holds is told later, and the rest is counted as lost.
    """
    from datetime import timedelta

    from messaging.settings import load_settings
    from telemetry.settings import TelemetrySettings
    from trunkline.command_line.children import telemetry_children

    settings = load_settings(TelemetrySettings)
    children = telemetry_children(processes, {})
    _run(children, settings, stop_timeout=timedelta(seconds=10), output=Output(as_json=as_json))


def _run(
    children: "Sequence[ChildSpec]", settings: "DeploymentSettings", *, stop_timeout: "timedelta", output: Output
) -> None:
    from messaging.processes.supervise import become_supervisor
    from trunkline.command_line.connection import require_fit_redis

    if len(children) > 1 and settings.health_port is not None:
        raise BadInput("usage", "--processes: TRUNKLINE_HEALTH_PORT is a port for one process; unset it, or start one")
    require_fit_redis(settings, output)
    become_supervisor(children, heartbeat_timeout=settings.heartbeat_timeout, stop_timeout=stop_timeout)
