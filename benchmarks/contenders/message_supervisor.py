"""`python -m benchmarks.contenders.message_supervisor`: our supervisor over processes of `message_loop`."""

import os
import sys
from datetime import timedelta
from typing import Final

import redis

from benchmarks.contenders.message_actors import REDIS_URL, SLOTS
from messaging.broker import TrunklineBroker
from messaging.command_runner import BlockingRunner
from messaging.logging import configure_logging
from messaging.supervisor import ChildSpec, Supervisor

SLOTS_OF_CHILDREN: Final = "BENCHMARK_SLOTS_OF_CHILDREN"


def main() -> None:
    """Keeps a child for each number of slots until SIGTERM."""
    configure_logging("info", "json")
    client = redis.Redis.from_url(os.environ[REDIS_URL])
    runner = BlockingRunner(client, namespace=TrunklineBroker(client).namespace)
    supervisor = Supervisor(runner, stop_timeout=timedelta(0))
    command = [sys.executable, "-m", "benchmarks.contenders.message_loop"]
    slots_of_children = os.environ[SLOTS_OF_CHILDREN].split(",")
    supervisor.start(
        [ChildSpec(f"worker {index}", command, {SLOTS: slots}) for index, slots in enumerate(slots_of_children)]
    )
    supervisor.run()


if __name__ == "__main__":
    main()
