"""The deployment that a command talks to: its client, its Redis, and the processes that live in it."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ledger.settings import LedgerSettings
from messaging.command_runner import BlockingRunner
from messaging.envelopes import living_workers
from messaging.logging import LogLevel, configure_logging
from messaging.redis_access.clients import connection_errors
from messaging.redis_access.connections import blocking_client
from messaging.redis_access.namespace_check import check_namespace
from messaging.redis_access.server_check import check_server
from messaging.redis_access.url import Cluster, parse_redis_url
from messaging.settings import DeploymentSettings, load_settings, resolve_redis_url
from trunkline.client import Client
from trunkline.command_line.failures import DeploymentFailed
from trunkline.command_line.output import Output
from trunkline.command_line.worker_process import WorkerProcess

__all__ = ["Workers", "connect", "connect_ops", "require_fit_redis"]


_PATIENCE_S: Final = 2.0


@contextmanager
def connect() -> Iterator[tuple[Client, "Workers"]]:
    """A client of the deployment that the environment names, and who works there."""
    settings = load_settings(LedgerSettings)
    _configure_logging(settings)
    with Client(settings=settings) as client, Workers(settings) as workers:
        yield client, workers


@contextmanager
def connect_ops() -> Iterator[tuple[BlockingRunner, "Workers"]]:
    """Redis itself, for those who look after queues, and who works there.

    Raises:
        RedisUnreachable: It does not answer.
    """
    settings = load_settings(DeploymentSettings)
    _configure_logging(settings)
    url = resolve_redis_url(settings)
    with blocking_client(settings) as client, Workers(settings) as workers, connection_errors(url):
        yield BlockingRunner(client, namespace=settings.key_prefix, patience_s=_PATIENCE_S), workers


def require_fit_redis(settings: DeploymentSettings, output: Output) -> None:
    """Goes on only with a Redis that answers and suits Trunkline; says what could be better.

    Raises:
        RedisUnreachable: It does not answer.
        DeploymentFailed: It is not fit; the message says what to change.
    """
    url = resolve_redis_url(settings)
    with blocking_client(settings) as client:
        with connection_errors(url):
            client.ping()
        problems = check_server(client, in_cluster=isinstance(parse_redis_url(url), Cluster))
        problems += check_namespace(client, settings.key_prefix)
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    if errors:
        raise DeploymentFailed("redis_unfit", "Redis is not fit for Trunkline: " + "; ".join(errors))
    for problem in problems:
        output.note(f"Warning: {problem}.")


def _configure_logging(settings: DeploymentSettings) -> None:
    # Standard output is for results, and a client has little to say.
    level: LogLevel = "error" if settings.log_level == "error" else "warning"
    configure_logging(level, settings.log_format, hidden_fields=settings.redact_fields)


class Workers:
    """Which process a worker is, by the worker's id. A context manager.

    Args:
        settings: Of the deployment.
    """

    def __init__(self, settings: DeploymentSettings) -> None:
        self._redis = blocking_client(settings)
        self._runner = BlockingRunner(self._redis, namespace=settings.key_prefix)
        self._known: dict[str, WorkerProcess] = {}
        self._gone: set[str] = set()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self._redis.close()

    def __call__(self, worker: str) -> WorkerProcess | None:
        """The process of a worker that lives, or lived when others were asked for; else None."""
        if worker not in self._known and worker not in self._gone:
            self.living()
            # Who works has registered before, so it will not turn up later either.
            if worker not in self._known:
                self._gone.add(worker)
        return self._known.get(worker)

    def living(self) -> list[WorkerProcess]:
        """All that live now."""
        living = [_process(info) for info in self._runner.run(living_workers())]
        self._known.update((process.worker, process) for process in living)
        return living


def _process(info: dict[str, Any]) -> WorkerProcess:
    host = info.get("host", "")
    return WorkerProcess(
        worker=info["worker"],
        pid=info.get("pid", 0),
        host="" if host == platform.node() else host,
        queues=tuple(info.get("queues", ())),
        started=info.get("started", 0),
    )
