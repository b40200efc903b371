"""The deployments that scenarios run on.

`calm` is one for all tests in which no process has to die: its processes are started once, and have to be the same
after each test. `deployment` is one of a test's own, empty to begin with. After each test the promises are checked.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from messaging.embedded.embedded_redis import EmbeddedRedis
from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import Endpoint
from tests.scenarios.together import bring_together

_numbers = count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Declares the mark `together`."""
    config.addinivalue_line("markers", "together: runs at the same time as the other tests of its module")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets tests run at the same time."""
    bring_together(items)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[Endpoint]:
    """The scripted endpoint, for all tests."""
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def scenario_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A Redis that no other kind of test empties."""
    with EmbeddedRedis(tmp_path_factory.mktemp("redis"), fsync="no") as server:
        yield server


@dataclass
class Calm:
    """The deployment that all share, started when it is first asked for, and again after a test has broken it."""

    redis: EmbeddedRedis
    endpoint: Endpoint
    folder: Path
    current: Deployment | None = None

    async def get(self) -> Deployment:
        """An orchestrator and three worker processes, one of them for two pools, all started as operators do."""
        if self.current is None:
            namespace = f"calm{next(_numbers)}"
            self.current = calm = Deployment(self.redis.url, self.endpoint, self.folder, namespace=namespace)
            calm.start("orchestrator", entry="module", model_attempts=3, heartbeat_timeout=5)
            for pool in ("alpha", "beta", "gamma,delta"):
                calm.start("workers", pool=pool, entry="module", calls_at_once=64, heartbeat_timeout=5)
            await calm.serving(*calm.processes)
        return self.current

    async def end(self) -> None:
        """Ends its processes."""
        if self.current is not None:
            await self.current.client.close()
            self.current.stop_all()
            self.current = None


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def calm_for_all(
    scenario_redis: EmbeddedRedis, endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Calm]:
    """Keeps the deployment that all share."""
    calm = Calm(scenario_redis, endpoint, tmp_path_factory.mktemp("calm"))
    yield calm
    await calm.end()


@pytest_asyncio.fixture(loop_scope="session")
async def calm(calm_for_all: Calm) -> AsyncIterator[Deployment]:
    """The deployment that all share; after the test its promises are checked, and that no process has died."""
    calm = await calm_for_all.get()
    processes = list(calm.processes)
    yield calm
    try:
        dead = [process.log.read_text()[-5_000:] for process in processes if not process.alive]
        assert not dead, "\n".join(["processes died:", *dead])
        assert calm.processes == processes
        await calm.keeps_its_promises()
    except AssertionError:
        await calm_for_all.end()
        raise
    calm.replies_are_read = False
    calm.forget_what_has_ended()


@pytest_asyncio.fixture(loop_scope="session")
async def deployment(scenario_redis: EmbeddedRedis, endpoint: Endpoint, tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment without processes, on the same Redis under a namespace of its own."""
    deployment = Deployment(scenario_redis.url, endpoint, tmp_path, namespace=f"test{next(_numbers)}")
    async with deployment.for_a_test():
        yield deployment
