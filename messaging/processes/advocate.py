"""What a supervisor has to say in Redis on behalf of its children. Made when it is needed, since it needs a client."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property

import redis
import structlog

from messaging import queue_commands
from messaging.command_runner import TRANSIENT, BlockingRunner
from messaging.errors import RedisUnreachable
from messaging.redis_access.clients import ClientOptions, build_client
from messaging.settings import DeploymentSettings, resolve_redis_url

__all__ = ["Advocate"]

_log = structlog.get_logger(__name__)


class Advocate:
    """Speaks for workers that cannot do so themselves. Nothing that Redis does keeps it from going on.

    Args:
        settings: Of the deployment.
    """

    def __init__(self, settings: DeploymentSettings) -> None:
        self._settings = settings

    @cached_property
    def _runner(self) -> BlockingRunner:
        options = ClientOptions(longest_block=timedelta(0), max_connections=2, hash_tag=self._settings.namespace)
        client: redis.Redis = build_client(resolve_redis_url(self._settings), options)
        return BlockingRunner(client, namespace=self._settings.key_prefix)

    def vouch(self, workers: Sequence[str]) -> None:
        """Says that workers live whose processes do."""
        try:
            self._runner.run(queue_commands.vouch(workers))
        except (*TRANSIENT, RedisUnreachable):
            pass  # nobody is declared dead while Redis is away

    def give_back(self, worker: str) -> None:
        """Gives back what a dead child held."""
        try:
            returned = self._runner.run(queue_commands.leave(worker, died=True))
        except (*TRANSIENT, RedisUnreachable) as error:
            _log.warning("could not give back what it held; others will after the heartbeat time-out", error=str(error))
        else:
            _log.info("gave back what it held", worker=worker, messages=returned)

    def tell_of_death(self, name: str, *, pid: int, how: str, pause_s: float) -> None:
        """Logs that a child died."""
        _log.error("a process died and is started again", name=name, pid=pid, how=how, in_s=pause_s)

    def tell_of_killing(self, name: str, *, pid: int, why: str) -> None:
        """Logs that a child is killed."""
        _log.error("killed a process", name=name, pid=pid, why=why)
