"""Bare Dramatiq: the actors of `bare_actors` under the stock `dramatiq` command, polling every 10 ms.

By default an idle consumer of Dramatiq sleeps for up to a second; ten milliseconds are the other end, where an idle
process costs a tenth of a processor.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal
from uuid import uuid4

import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from benchmarks.contenders.contender import ORCHESTRATOR, REDIS, SOCKET_TIMEOUT_S, WORKER, Running
from benchmarks.conversation import ANSWER, QUESTION
from benchmarks.load import JobFailed
from benchmarks.measured_processes import MeasuredProcesses
from benchmarks.model_server import SLOW_QUESTION
from messaging.embedded.embedded_redis import EmbeddedRedis

_ACTORS: Final = "benchmarks.contenders.bare_actors"
_THREADS: Final = 8
_POLL_MS: Final = 10
_FIRST_JOB_PATIENCE_S: Final = 30.0
_DONE: Final = "done"
_ANSWERS_AT_ONCE: Final = 100


@contextmanager
def bare_contender(
    model_url: str,
    folder: Path,
    *,
    model_call: Literal["create", "post"],
    orchestrator_threads: int = _THREADS,
    poll_ms: int = _POLL_MS,
) -> Iterator[Running]:
    """Starts it; see `Contender`.

    Args:
        model_url: Of the model's endpoint.
        folder: For the files of Redis and the logs; must not exist.
        model_call: With which method of the openai SDK the actors call the model.
        orchestrator_threads: Each is a model call in flight.
        poll_ms: How long idle consumers, and idle threads, wait before they look again.
    """
    with EmbeddedRedis(folder / "redis", port=0) as server, MeasuredProcesses(folder) as processes:
        environment = {
            "BARE_REDIS_URL": server.url,
            "BARE_MODEL_CALL": model_call,
            "OPENAI_BASE_URL": model_url,
            "OPENAI_API_KEY": "benchmark",
            "dramatiq_worker_timeout": str(poll_ms),
        }
        command = ["-m", "dramatiq", _ACTORS, "--processes", "1"]
        turns, calls = (["--threads", str(threads)] for threads in (orchestrator_threads, _THREADS))
        processes.start(ORCHESTRATOR, [*command, *turns, "--queues", "orchestrator"], environment)
        processes.start(WORKER, [*command, *calls, "--queues", "tools"], environment)
        with redis.Redis.from_url(server.url, decode_responses=True, socket_timeout=SOCKET_TIMEOUT_S) as connection:
            client = _JobClient(server.url, connection)
            client.submit()
            if not client.ended(_FIRST_JOB_PATIENCE_S):
                raise JobFailed(f"the first job has not ended\n{processes.logs()}")
            processes.adopt(REDIS, server.pid)
            processes.all_are_up()
            yield Running(client, processes, connection)


class _JobClient:
    """Hands jobs in with the stock broker, and takes their answers from a list."""

    def __init__(self, url: str, connection: redis.Redis) -> None:
        self._broker = RedisBroker(url=url)  # type: ignore[no-untyped-call]  # Dramatiq has no types here
        self._connection = connection

    def submit(self, *, slow: bool = False) -> str:
        job_id = uuid4().hex
        question = SLOW_QUESTION if slow else QUESTION
        self._connection.rpush(f"job:{job_id}:messages", json.dumps({"role": "user", "content": question}))
        self._broker.enqueue(
            Message(queue_name="orchestrator", actor_name="take_turn", args=(job_id, 1), kwargs={}, options={})
        )
        return job_id

    def ended(self, timeout_s: float) -> Sequence[str]:
        popped: Any = self._connection.blmpop(timeout_s, 1, _DONE, direction="LEFT", count=_ANSWERS_AT_ONCE)
        if popped is None:
            return ()
        answers = [json.loads(answer) for answer in popped[1]]
        if any(answer["answer"] != ANSWER for answer in answers):
            raise JobFailed(f"a job has a wrong answer: {answers}")
        return [answer["job_id"] for answer in answers]
