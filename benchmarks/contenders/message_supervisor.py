"""`python -m benchmarks.contenders.message_supervisor`: our supervisor over processes of `message_loop`."""

import os
import sys
from datetime import timedelta
from typing import Final

from benchmarks.contenders.message_actors import HEARTBEAT_TIMEOUT_S, REDIS_URL, SLOTS
from messaging.logging import configure_logging
from messaging.processes.advocate import Advocate
from messaging.processes.supervisor import ChildSpec, Supervisor
from messaging.settings import DeploymentSettings, load_settings

SLOTS_OF_CHILDREN: Final = "BENCHMARK_SLOTS_OF_CHILDREN"


def main() -> None:
    """Keeps a child for each number of slots until SIGTERM."""
    configure_logging("info", "json")
    timeout = timedelta(seconds=float(os.environ[HEARTBEAT_TIMEOUT_S]))
    settings = load_settings(DeploymentSettings, redis_url=os.environ[REDIS_URL], heartbeat_timeout=timeout)
    supervisor = Supervisor(lambda: Advocate(settings), heartbeat_timeout=timeout, stop_timeout=timedelta(0))
    command = [sys.executable, "-m", "benchmarks.contenders.message_loop"]
    slots_of_children = os.environ[SLOTS_OF_CHILDREN].split(",")
    supervisor.start(
        [ChildSpec(f"worker {index}", command, {SLOTS: slots}) for index, slots in enumerate(slots_of_children)]
    )
    supervisor.run()


if __name__ == "__main__":
    main()
