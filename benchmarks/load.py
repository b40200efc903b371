"""Handing jobs in and taking the times. Any job that fails ends the benchmark.

This module imports nothing but the standard library: it also runs in processes that have only a peer's packages.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

_JOB_PATIENCE_S: Final = 30.0


class JobClient(Protocol):
    """Hands jobs in, and hears of their ends."""

    def submit(self) -> str:
        """Hands one job in; answers its id."""
        ...

    def ended(self, timeout_s: float) -> Sequence[str]:
        """The jobs that have ended since the last time; waits for one for at most `timeout_s`.

        Raises:
            JobFailed: One of them has no answer, or a wrong one.
        """
        ...


class SlowJobClient(JobClient, Protocol):
    """One that can also hand in jobs that take long."""

    def submit(self, *, slow: bool = False) -> str:
        """Hands one job in, with a model call that takes long if it is `slow`; answers its id."""
        ...


class JobFailed(Exception):
    """A job did not end as it should have, or not at all."""


class ClosedLoop:
    """Keeps a number of jobs outstanding: whenever one ends, another goes in.

    Args:
        client: Of the contender.
        outstanding: How many.
    """

    def __init__(self, client: JobClient, *, outstanding: int) -> None:
        self._client = client
        self._outstanding = outstanding
        self._open: set[str] = set()

    def run(self, duration_s: float) -> int:
        """Goes on for so long; answers how many jobs ended meanwhile. Those that are open then stay open."""
        until = time.perf_counter() + duration_s
        ended = 0
        while time.perf_counter() < until:
            while len(self._open) < self._outstanding:
                self._open.add(self._client.submit())
            ended += self._wait()
        return ended

    def drain(self) -> None:
        """Waits for those that are open."""
        while self._open:
            self._wait()

    def _wait(self) -> int:
        ended = self._client.ended(_JOB_PATIENCE_S)
        if not ended:
            raise JobFailed(f"no job ended within {_JOB_PATIENCE_S:.0f} s")
        self._open.difference_update(ended)
        return len(ended)


def one_at_a_time(client: JobClient, *, jobs: int) -> list[float]:
    """How long each of `jobs` jobs took while nothing else ran, ms: from before its submit until its end was heard."""
    latencies = []
    for _ in range(jobs):
        started = time.perf_counter()
        job = client.submit()
        if list(client.ended(_JOB_PATIENCE_S)) != [job]:
            raise JobFailed(f"job {job} did not end within {_JOB_PATIENCE_S:.0f} s")
        latencies.append((time.perf_counter() - started) * 1000)
    return latencies


def at_a_rate(client: JobClient, *, per_s: float, duration_s: float) -> list[float]:
    """How long each job took, ms, when they come at a fixed rate, whether earlier ones have ended or not.

    A job that could not be handed in on time counts from when it was due. A thread of its own hands them in: Redis ends
    a blocking command that nothing came for up to a tenth of a second late, so who waits for answers is not on time.
    """
    begin = time.perf_counter()
    due = [begin + index / per_s for index in range(round(per_s * duration_s))]

    def hand_in(at: float) -> str:
        time.sleep(max(0.0, at - time.perf_counter()))
        return client.submit()

    ended_at: dict[str, float] = {}
    with ThreadPoolExecutor(1) as submitter:
        jobs = [submitter.submit(hand_in, at) for at in due]
        while len(ended_at) < len(due):
            ended = client.ended(_JOB_PATIENCE_S)
            heard = time.perf_counter()
            if not ended:
                raise JobFailed(f"no job ended within {_JOB_PATIENCE_S:.0f} s")
            ended_at |= dict.fromkeys(ended, heard)
        return [(ended_at[job.result()] - at) * 1000 for job, at in zip(jobs, due, strict=True)]
