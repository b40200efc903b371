"""What the benchmarks need of a contender."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks.load import SlowJobClient
from benchmarks.measured_processes import MeasuredProcesses

SOCKET_TIMEOUT_S = 60.0
"""Longer than the load client ever blocks."""
ORCHESTRATOR, WORKER, REDIS, TELEMETRY = "orchestrator", "worker", "redis", "telemetry"


@dataclass(frozen=True, slots=True)
class Running:
    """A contender that has done its first job."""

    client: SlowJobClient
    processes: MeasuredProcesses
    """An orchestrator, a worker and a Redis, under these names."""
    redis: redis.Redis


Contender = Callable[[str, Path], AbstractContextManager[Running]]
"""Starts everything anew, with the base URL of the model's endpoint and a folder for its files; ends it all after."""
