"""Where those without a way of their own to announce an end put their answers: a list that the client pops blocked."""

import json
import os
from collections.abc import Sequence
from typing import Any, Final

import redis
import redis.asyncio

from benchmarks.conversation import ANSWER
from benchmarks.load import JobFailed

REDIS_URL: Final = "PEER_REDIS_URL"
_ANSWERS: Final = "answers"
_AT_ONCE: Final = 100
_SOCKET_TIMEOUT_S: Final = 60.0
"""Longer than anybody blocks."""


def redis_url() -> str:
    """Of the peer's Redis."""
    return os.environ[REDIS_URL]


def _answer(job_id: str, reply: dict[str, Any]) -> str:
    return json.dumps({"job_id": job_id, "answer": reply["content"]})


class Answers:
    """Both ends of the list."""

    def __init__(self) -> None:
        self._connection = redis.Redis.from_url(redis_url(), socket_timeout=_SOCKET_TIMEOUT_S)

    def push(self, job_id: str, reply: dict[str, Any]) -> None:
        """A job has ended."""
        self._connection.rpush(_ANSWERS, _answer(job_id, reply))

    def pop(self, timeout_s: float) -> Sequence[str]:
        """The jobs that have ended; waits for one."""
        popped: Any = self._connection.blmpop(timeout_s, 1, _ANSWERS, direction="LEFT", count=_AT_ONCE)
        answers = [json.loads(answer) for answer in popped[1]] if popped else []
        if any(answer["answer"] != ANSWER for answer in answers):
            raise JobFailed(f"a job has a wrong answer: {answers}")
        return [answer["job_id"] for answer in answers]


class AsyncAnswers:
    """The end that pushes, on an event loop."""

    def __init__(self) -> None:
        self._connection = redis.asyncio.Redis.from_url(redis_url())

    async def push(self, job_id: str, reply: dict[str, Any]) -> None:
        """A job has ended."""
        await self._connection.rpush(_ANSWERS, _answer(job_id, reply))
