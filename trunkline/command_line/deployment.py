"""A whole deployment on this machine: Redis, a model, orchestrators, pools, telemetry. It ends with this process.

They start in the order in which they need each other and stop in the reverse one, so that work in flight finds what it
needs. Whatever dies is started again. Should this process be killed, all of them end by themselves.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType, TracebackType
from typing import Final, Self

import structlog
from pydantic import SecretStr

from ledger.catalogue import read_catalogue
from messaging.command_runner import BlockingRunner
from messaging.embedded.embedded_redis import EmbeddedRedis
from messaging.processes.advocate import Advocate
from messaging.processes.pool_size import ScalingPolicy
from messaging.processes.supervisor import Supervisor
from messaging.redis_access.connections import blocking_client
from trunkline.command_line.autoscaler import Autoscaler, ScaledPool
from trunkline.command_line.children import (
    orchestrator_children,
    telemetry_children,
    worker_children,
    worker_environment,
)
from trunkline.command_line.connection import Workers, require_fit_redis
from trunkline.command_line.failures import DeploymentFailed
from trunkline.command_line.output import Output
from trunkline.command_line.stand_in_model import StandInModel
from trunkline.command_line.wanted import Wanted
from trunkline.command_line.worker_process import WorkerProcess

__all__ = ["ORCHESTRATOR", "Deployment", "stopping_signals"]

_log = structlog.get_logger(__name__)

#: The queue that orchestrators consume.
ORCHESTRATOR: Final = "orchestrator"
_START_PATIENCE_S: Final = 60.0
_LOOK_AGAIN_S: Final = 0.02
#: A child that dies so often before everything is alive will not come to life.
_MOST_STARTS: Final = 3
_PATIENCE_WITH_REDIS_S: Final = 5.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Deployment:
    """Runs what is wanted. A context manager; use it from the main thread only.

    Args:
        wanted: What shall run.
        output: For warnings about Redis.
    """

    def __init__(self, wanted: Wanted, output: Output) -> None:
        self.wanted = wanted
        self.settings = wanted.settings
        """With the URL of Redis, once it is started."""
        self.model: StandInModel | None = None
        self.redis: EmbeddedRedis | None = None
        self.processes: list[WorkerProcess] = []
        """The orchestrators and workers, as they were when all came to life."""
        self._output = output
        self._supervisor: Supervisor | None = None
        self._autoscaler: Autoscaler | None = None
        self._resources = ExitStack()
        self._began = 0
        self._starts: dict[str, set[int]] = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        wanted = self.wanted
        if wanted.stand_in_model:
            self.model = StandInModel()
            self.model.start()
        if wanted.settings.redis_url is None:
            self.redis = EmbeddedRedis(wanted.settings.data_dir, runtime_dir=wanted.settings.runtime_dir)
            self.redis.start()
            self.settings = wanted.settings.model_copy(update={"redis_url": SecretStr(self.redis.url)})
        require_fit_redis(self.settings, self._output)
        client = self._resources.enter_context(blocking_client(self.settings))
        namespace = self.settings.key_prefix
        self._runner = BlockingRunner(client, namespace=namespace, patience_s=_PATIENCE_WITH_REDIS_S)
        self._supervisor = Supervisor(
            lambda: Advocate(self.settings),
            heartbeat_timeout=self.settings.heartbeat_timeout,
            stop_timeout=wanted.stop_timeout,
        )
        if self.model is not None:
            self.model.wait()  # before the others start, which would slow it down
        self._began = int(time.time())
        self._start_processes(self._supervisor)
        self.processes = self._wait_until_alive()
        if self.wanted.scaling is not None:
            self._autoscaler = self._scale_pools(self._supervisor, self.wanted.scaling)

    def _start_processes(self, supervisor: Supervisor) -> None:
        assert self.settings.redis_url is not None
        environment = {**self.wanted.environment, "TRUNKLINE_REDIS_URL": self.settings.redis_url.get_secret_value()}
        model = self.model.environment if self.model is not None else {}
        supervisor.start(orchestrator_children(self.wanted.orchestrators, {**environment, **model}))
        self._of_workers = {pool: {**environment, **self._worker_environment(pool)} for pool in self.wanted.pools}
        for pool, bounds in self.wanted.pools.items():
            supervisor.start(worker_children(bounds.fewest, self._of_workers[pool]))
        supervisor.start(telemetry_children(1, environment))

    def _worker_environment(self, pool: str) -> dict[str, str]:
        environment = worker_environment(pool=pool, tools=self.wanted.tool_modules)
        if self.wanted.scaling is not None:
            environment["TRUNKLINE_STOP_TIMEOUT"] = str(self.wanted.stop_timeout.total_seconds())
        return environment

    def _scale_pools(self, supervisor: Supervisor, policy: ScalingPolicy) -> Autoscaler:
        pools = self.wanted.pools.items()
        scaled = [ScaledPool(pool, bounds, policy, self._of_workers[pool]) for pool, bounds in pools]
        return Autoscaler(self._runner, supervisor, scaled)

    def look(self) -> None:
        """Starts again what has died, and scales what shall be scaled. Call it often."""
        if self.redis is not None and not self.redis.alive:
            _log.error("the embedded Redis died and is started again on its data")
            self.redis.start()
        if self.model is not None:
            self.model.look()
        assert self._supervisor is not None
        self._supervisor.look()
        if self._autoscaler is not None:
            self._autoscaler.look()

    def stop(self) -> None:
        """Stops everything; work in flight may finish within its time. A second signal meanwhile ends it at once."""
        with _handling(self._kill_children):
            if self._supervisor is not None:
                self._supervisor.stop()
            if self.model is not None:
                self.model.stop()
            self._resources.close()
            if self.redis is not None:
                self.redis.stop()

    def _wait_until_alive(self) -> list[WorkerProcess]:
        give_up_at = time.monotonic() + _START_PATIENCE_S
        of_pools = {pool: bounds.fewest for pool, bounds in self.wanted.pools.items()}
        expected = Counter({ORCHESTRATOR: self.wanted.orchestrators, **of_pools})
        with Workers(self.settings) as workers:
            while True:
                self.look()
                self._count_starts()
                ours = [process for process in workers.living() if not process.host and process.started >= self._began]
                missing = expected - Counter(queue for process in ours for queue in process.queues)
                if not missing and not self._unpublished():
                    return ours
                if time.monotonic() > give_up_at:
                    what = ", ".join(sorted(missing)) or f"the tools {', '.join(sorted(self._unpublished()))}"
                    raise DeploymentFailed("start", f"not alive after {_START_PATIENCE_S:.0f} s: {what}")
                time.sleep(_LOOK_AGAIN_S)

    def _unpublished(self) -> set[str]:
        published = self._runner.run(read_catalogue())
        wanted = {reference for references in self.wanted.tools.values() for reference in references}
        return wanted - {tool.specification.reference for tool in published if tool.is_alive}

    def _count_starts(self) -> None:
        assert self._supervisor is not None
        for name, pid in self._supervisor.pids.items():
            starts = self._starts.setdefault(name, set())
            starts.add(pid)
            if len(starts) > _MOST_STARTS:
                raise DeploymentFailed("start", f"{name} keeps dying at its start; what it wrote is above")

    def _kill_children(self, number: int, frame: FrameType | None) -> None:
        for pid in (self._supervisor.pids if self._supervisor is not None else {}).values():
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(pid, signal.SIGKILL)  # the leader of its own session, with whatever guards it


@contextmanager
def stopping_signals() -> Iterator[None]:
    """Makes SIGTERM, and the end of the terminal, interrupt this process as Ctrl-C does."""
    with _handling(signal.default_int_handler):
        yield


@contextmanager
def _handling(handler: "signal._HANDLER") -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, former in previous.items():
            signal.signal(number, former)
