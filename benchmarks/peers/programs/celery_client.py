"""Hands jobs in to Celery."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

from benchmarks.conversation import QUESTION
from benchmarks.peers.programs.answers_in_redis import Answers
from benchmarks.peers.programs.celery_tasks import take_turn


@contextmanager
def open_client() -> Iterator["_Client"]:
    """Starts nothing: the tasks' own application has the connections."""
    yield _Client()


class _Client:
    def __init__(self) -> None:
        self._answers = Answers()

    def submit(self) -> str:
        job_id = uuid4().hex
        take_turn.delay([], job_id, [{"role": "user", "content": QUESTION}])
        return job_id

    def ended(self, timeout_s: float) -> Sequence[str]:
        return self._answers.pop(timeout_s)
