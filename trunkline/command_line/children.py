"""The processes that make a deployment: what to run, and with which environment.

They run `python -P -m orchestrator`, `workers` and `telemetry`, so that none carries the command line in its memory,
and no folder of the user's that happens to be the current one takes the place of a package of ours (`-P`).
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from messaging.processes.supervisor import ChildSpec
from trunkline.command_line.failures import BadInput

__all__ = [
    "orchestrator_children",
    "orchestrator_environment",
    "telemetry_children",
    "worker_child",
    "worker_children",
    "worker_environment",
    "worker_name",
]

_ORCHESTRATOR: Final = (sys.executable, "-P", "-m", "orchestrator")
_WORKER: Final = (sys.executable, "-P", "-m", "workers")
_TELEMETRY: Final = (sys.executable, "-P", "-m", "telemetry")


def orchestrator_environment(*, threads: int | None = None) -> dict[str, str]:
    """What an orchestrator process is told besides the environment of its parent."""
    return {} if threads is None else {"TRUNKLINE_TURNS_AT_ONCE": str(threads)}


def worker_environment(*, pool: str, tools: Sequence[str] = (), threads: int | None = None) -> dict[str, str]:
    """What a worker process is told besides the environment of its parent.

    Raises:
        BadInput: The path of a module has a comma.
    """
    if commas := [module for module in tools if "," in module]:
        raise BadInput("usage", f"--tools: a comma separates modules, and {commas[0]} has one; rename it")
    return {
        "TRUNKLINE_POOL": pool,
        **({"TRUNKLINE_TOOLS": ",".join(tools)} if tools else {}),
        **({} if threads is None else {"TRUNKLINE_CALLS_AT_ONCE": str(threads)}),
    }


def orchestrator_children(number: int, environment: Mapping[str, str]) -> list[ChildSpec]:
    """Several orchestrator processes."""
    return [ChildSpec(f"orchestrator {n}", _ORCHESTRATOR, environment) for n in range(1, number + 1)]


def worker_children(number: int, environment: Mapping[str, str]) -> list[ChildSpec]:
    """Several processes of one pool."""
    return [worker_child(n, environment) for n in range(1, number + 1)]


def worker_child(number: int, environment: Mapping[str, str]) -> ChildSpec:
    """The process of a pool that has this number."""
    return ChildSpec(worker_name(environment["TRUNKLINE_POOL"], number), _WORKER, environment)


def worker_name(pool: str, number: int) -> str:
    """What the process of a pool with this number is called."""
    return f"{pool} {number}"


def telemetry_children(number: int, environment: Mapping[str, str]) -> list[ChildSpec]:
    """Several telemetry processes."""
    return [ChildSpec(f"telemetry {n}", _TELEMETRY, environment) for n in range(1, number + 1)]
