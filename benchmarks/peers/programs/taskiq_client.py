"""Hands jobs in to taskiq."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

from benchmarks.conversation import QUESTION
from benchmarks.peers.programs.answers_in_redis import Answers
from benchmarks.peers.programs.taskiq_tasks import orchestrator, run_job


@contextmanager
def open_client() -> Iterator["_Client"]:
    """Starts the broker's connections, on an event loop of their own."""
    with asyncio.Runner() as runner:
        runner.run(orchestrator.startup())
        yield _Client(runner)
        runner.run(orchestrator.shutdown())


class _Client:
    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._answers = Answers()

    def submit(self) -> str:
        job_id = uuid4().hex
        self._runner.run(self._kick(job_id))
        return job_id

    async def _kick(self, job_id: str) -> None:
        await run_job.kiq(job_id, [{"role": "user", "content": QUESTION}])

    def ended(self, timeout_s: float) -> Sequence[str]:
        return self._answers.pop(timeout_s)
