"""A supervisor as a process of its own, which `trunkline worker` becomes: `python -P -m messaging.processes.supervise`.

It is small: what speaks for the children in Redis is imported when it is needed.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from messaging.processes.supervisor import ChildSpec, Supervisor

if TYPE_CHECKING:
    from messaging.processes.advocate import Advocate

__all__ = ["become_supervisor", "supervision"]


def become_supervisor(
    children: Sequence[ChildSpec], *, heartbeat_timeout: timedelta, stop_timeout: timedelta
) -> NoReturn:
    """Replaces this process by a supervisor of `children`, with nothing of what it has imported until now."""
    arguments = supervision(children, heartbeat_timeout=heartbeat_timeout, stop_timeout=stop_timeout)
    sys.stdout.flush()
    sys.stderr.flush()
    # The command is ours; there is no shell, which is the point.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "messaging.processes.supervise", *arguments])  # noqa: S606


def supervision(
    children: Sequence[ChildSpec], *, heartbeat_timeout: timedelta, stop_timeout: timedelta
) -> Sequence[str]:
    """The arguments of a supervisor's process."""
    what = {
        "children": [asdict(child) for child in children],
        "heartbeat_timeout_s": heartbeat_timeout.total_seconds(),
        "stop_timeout_s": stop_timeout.total_seconds(),
    }
    return [json.dumps(what)]


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    what = json.loads(sys.argv[1])
    supervisor = Supervisor(
        _advocate,
        heartbeat_timeout=timedelta(seconds=what["heartbeat_timeout_s"]),
        stop_timeout=timedelta(seconds=what["stop_timeout_s"]),
    )
    supervisor.start([ChildSpec(**child) for child in what["children"]])
    supervisor.run()


def _advocate() -> "Advocate":
    from messaging.logging import configure_logging
    from messaging.processes.advocate import Advocate
    from messaging.settings import DeploymentSettings, load_settings

    settings = load_settings(DeploymentSettings)
    configure_logging(
        settings.log_level, settings.log_format, process_role="supervisor", hidden_fields=settings.redact_fields
    )
    return Advocate(settings)


if __name__ == "__main__":
    main()
