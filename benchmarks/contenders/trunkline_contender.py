"""Ours: an orchestrator process and a worker process, or several, started as an operator would."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import redis

from benchmarks.contenders.contender import ORCHESTRATOR, REDIS, SOCKET_TIMEOUT_S, TELEMETRY, WORKER, Running
from benchmarks.conversation import MODEL, QUESTION
from benchmarks.load import JobFailed
from benchmarks.measured_processes import MeasuredProcesses
from benchmarks.model_server import CALLS, SLOW_QUESTION, question_for
from ledger.settings import LedgerSettings
from messaging.embedded.embedded_redis import EmbeddedRedis
from messaging.settings import load_settings
from schemas.chat_job import ChatJob, ReplyAddress
from schemas.conversation import UserMessage
from trunkline.client import Client

SLOTS: Final = 8
TURNS_AT_ONCE: Final = 500
"""Our default."""
_FIRST_JOB_PATIENCE: Final = timedelta(seconds=30)
_REPLY_QUEUE: Final = "reply.benchmark"
_REPLIES_AT_ONCE: Final = 100


@contextmanager
def trunkline_contender(
    model_url: str,
    folder: Path,
    *,
    worker_options: Sequence[str] = (),
    slots: int = SLOTS,
    turns_at_once: int = TURNS_AT_ONCE,
    facts: bool = True,
    exporting_to: str | None = None,
    orchestrators: int = 1,
    workers: int = 1,
    calls: int = CALLS,
) -> Iterator[Running]:
    """Starts ours; see `Contender`.

    Args:
        model_url: Of the model's endpoint.
        folder: For the files of Redis and the logs; must not exist.
        worker_options: For the Python interpreter of the worker.
        slots: How many calls the worker holds in flight.
        turns_at_once: How many turns the orchestrator holds in flight.
        facts: Whether steps record what traces and metrics are made of.
        exporting_to: Where a telemetry process beside them exports every trace to; none by default.
        orchestrators: How many processes; the second is called `orchestrator 2`, and so on.
        workers: Likewise.
        calls: How many the model asks for in a job.
    """
    with EmbeddedRedis(folder / "redis", port=0) as server, MeasuredProcesses(folder) as processes:
        environment = trunkline_environment(server.url, model_url, slots=slots, turns_at_once=turns_at_once)
        entry = [] if facts else ["-m", "benchmarks.contenders.without_facts"]
        for number in range(orchestrators):
            processes.start(_numbered(ORCHESTRATOR, number), [*(entry or ["-m"]), "orchestrator"], environment)
        for number in range(workers):
            arguments = [*worker_options, *(entry or ["-m"]), "workers"]
            processes.start(_numbered(WORKER, number), arguments, environment)
        if exporting_to is not None:
            processes.start(TELEMETRY, ["-m", "telemetry"], environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": exporting_to})
        question = QUESTION if calls == CALLS else question_for(calls)
        settings = load_settings(LedgerSettings, redis_url=server.url)
        with (
            Client(settings=settings) as client,
            redis.Redis.from_url(server.url, socket_timeout=SOCKET_TIMEOUT_S) as connection,
        ):
            _first_job(client, processes, question, calls)
            processes.adopt(REDIS, server.pid)
            processes.all_are_up()
            yield Running(TrunklineJobClient(client, connection, settings, question), processes, connection)


def _numbered(name: str, number: int) -> str:
    return name if number == 0 else f"{name} {number + 1}"


def trunkline_environment(
    redis_url: str, model_url: str, *, slots: int = SLOTS, turns_at_once: int = TURNS_AT_ONCE
) -> dict[str, str]:
    """What the processes of ours are told by their environment."""
    return {
        "TRUNKLINE_REDIS_URL": redis_url,
        "TRUNKLINE_LOG_LEVEL": "info",
        "OPENAI_BASE_URL": model_url,
        "OPENAI_API_KEY": "benchmark",
        "TRUNKLINE_MODEL": MODEL,
        "TRUNKLINE_TOOLS": "benchmarks.contenders.look_up_tool",
        "TRUNKLINE_POOL": "benchmark",
        "TRUNKLINE_CALLS_AT_ONCE": str(slots),
        "TRUNKLINE_TURNS_AT_ONCE": str(turns_at_once),
    }


def _job(reply_to: ReplyAddress | None, question: str = QUESTION) -> ChatJob:
    return ChatJob(messages=(UserMessage(content=question),), tools=("look_up",), reply_to=reply_to)


def _first_job(client: Client, processes: MeasuredProcesses, question: str, calls: int) -> None:
    """Waits until the processes are up, and tests that they do what shall be measured."""
    job_id = client.submit(_job(None, question)).job_id
    try:
        result = client.result(job_id, timeout=_FIRST_JOB_PATIENCE)
    except TimeoutError as error:
        raise JobFailed(f"{error}\n{processes.logs()}") from error
    outcomes = [call.outcome.kind if call.outcome else "open" for call in client.calls(job_id)]
    if result.state != "completed" or outcomes != ["succeeded"] * calls:
        raise JobFailed(f"the first job: {result}, {outcomes}\n{processes.logs()}")


class TrunklineJobClient:
    """Hands jobs in with `trunkline.Client`, and reads their answers from a reply queue as an upstream system would.

    Args:
        client: Ours.
        connection: To the same Redis.
        settings: The client's.
        question: Of every job.
    """

    def __init__(
        self, client: Client, connection: redis.Redis, settings: LedgerSettings, question: str = QUESTION
    ) -> None:
        self._client = client
        self._connection = connection
        reply_to = ReplyAddress(queue=_REPLY_QUEUE, actor="job_ended")
        self._job, self._slow_job = _job(reply_to, question), _job(reply_to, SLOW_QUESTION)
        # The two keys of a queue are Dramatiq's.
        self._queue = f"{settings.key_prefix}:{_REPLY_QUEUE}"
        self._bodies = f"{self._queue}.msgs"

    def submit(self, *, slow: bool = False) -> str:
        return self._client.submit(self._slow_job if slow else self._job).job_id

    def ended(self, timeout_s: float) -> Sequence[str]:
        popped: Any = self._connection.blmpop(timeout_s, 1, self._queue, direction="LEFT", count=_REPLIES_AT_ONCE)
        if popped is None:
            return ()
        ids: list[bytes] = popped[1]
        pipeline = self._connection.pipeline(transaction=False)
        pipeline.hmget(self._bodies, ids)
        pipeline.hdel(self._bodies, *ids)
        bodies: list[bytes] = pipeline.execute()[0]
        for body in bodies:
            if b'"state":"completed"' not in body:
                raise JobFailed(f"a job did not complete: {body!r}")
        return [id.partition(b"/")[0].decode() for id in ids]  # `<job>/reply~<number>`
