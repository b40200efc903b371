"""Hands jobs in from a process that has the peer's packages: `python -m benchmarks.peers.load_process <client module>`.

It reads an order a line from its standard input, and answers each with a line, both JSON; see `load_elsewhere`.
The load itself is the one of all benchmarks (`benchmarks.load`), beside the peer's client in one process.

This module imports nothing but the standard library, besides that client.
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, TextIO

from benchmarks.load import ClosedLoop, JobClient, JobFailed, one_at_a_time

_FIRST_JOB_PATIENCE_S: Final = 60.0
_LOOK_AGAIN_S: Final = 0.25
_TRICKLE_S: Final = 1.0


@dataclass(slots=True)
class _Burst:
    """Jobs that were handed in at once."""

    jobs: int
    missing: set[str]
    last_end_at: float = 0.0


class Load:
    """What can be ordered: each method is an order, its arguments are the order's fields, its answer the answer's."""

    def __init__(self, client: JobClient) -> None:
        self._client = client
        self._loop = ClosedLoop(client, outstanding=0)
        self._bursts: list[_Burst] = []
        self._ends: Counter[str] = Counter()

    def first_job(self) -> dict[str, Any]:
        self._client.submit()
        if not self._client.ended(_FIRST_JOB_PATIENCE_S):
            raise JobFailed(f"the first job has not ended within {_FIRST_JOB_PATIENCE_S:.0f} s")
        return {}

    def alone(self, jobs: int) -> dict[str, Any]:
        return {"latencies_ms": one_at_a_time(self._client, jobs=jobs)}

    def keep(self, outstanding: int) -> dict[str, Any]:
        self._loop = ClosedLoop(self._client, outstanding=outstanding)
        return {}

    def saturate(self, duration_s: float) -> dict[str, Any]:
        began = time.monotonic()
        jobs = self._loop.run(duration_s)
        return {"jobs": jobs, "took_s": time.monotonic() - began}

    def drain(self) -> dict[str, Any]:
        self._loop.drain()
        return {}

    def burst(self, jobs: int, until_ended: int, patience_s: float) -> dict[str, Any]:
        burst = _Burst(jobs, {self._client.submit() for _ in range(jobs)})
        self._bursts.append(burst)
        self._collect(time.monotonic() + patience_s, lambda: jobs - len(burst.missing) >= until_ended)
        return {"ended": jobs - len(burst.missing)}

    def collect(self, patience_s: float) -> dict[str, Any]:
        until = time.monotonic() + patience_s
        while any(burst.missing for burst in self._bursts) and time.monotonic() < until:
            next_at = time.monotonic() + _TRICKLE_S
            self._collect(next_at, lambda: not any(burst.missing for burst in self._bursts))
            self._client.submit()  # some look for lost work only while other work comes
        return {
            "missing": [len(burst.missing) for burst in self._bursts],
            "last_end_at": [burst.last_end_at for burst in self._bursts],
            "ended_twice": sum(count > 1 for count in self._ends.values()),
        }

    def forget(self) -> dict[str, Any]:
        self._bursts.clear()
        self._ends.clear()
        return {}

    def _collect(self, until: float, enough: Callable[[], bool]) -> None:
        while not enough() and time.monotonic() < until:
            for job_id in self._client.ended(_LOOK_AGAIN_S):
                self._ends[job_id] += 1
                for burst in self._bursts:
                    if job_id in burst.missing:
                        burst.missing.remove(job_id)
                        burst.last_end_at = time.monotonic()


def _serve(client: JobClient, answers: TextIO) -> None:
    load = Load(client)
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        try:
            answer = getattr(load, order.pop("order"))(**order)
        except JobFailed as error:
            answer = {"failed": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    # Whatever the peer's packages print goes to the log.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as _answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        with import_module(sys.argv[1]).open_client() as _client:
            _serve(_client, _answers)
