"""The chaos: hands orders in at a steady rate while everything goes wrong, then lets all come to rest and judges."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import redis
from pydantic import SecretStr

from messaging.embedded.embedded_redis import EmbeddedRedis
from tests.chaos.faults import QUEUES, Faults, deck, quietly
from tests.chaos.fleet import Fleet
from tests.chaos.orders import Model, order
from tests.chaos.proxy import Proxy
from tests.chaos.upstream import Upstream
from tests.chaos.verdict import Verdict, judge
from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import Endpoint
from tests.scenarios.waiting import wait_until
from tests.snapshot import Snapshot
from trunkline import AsyncClient

_LOOK_AGAIN_S: Final = 0.05
_MOST_OPEN: Final = 800
_MODEL_ATTEMPTS: Final = 50
_PATIENCE_WITH_A_SNAPSHOT_S: Final = 120


@dataclass(frozen=True)
class Plan:
    """What is done, all of which follows from the seed, but not when exactly.

    Attributes:
        seed: Of all that is decided by chance.
        jobs: How many orders are handed in.
        lasts: How long that takes.
        faults: How many faults happen meanwhile.
        heartbeat_timeout: Of all processes.
        fsync: How often Redis forces its file to the disk. With `everysec` a kill -9 in the midst of that, once a
            second, loses what was acknowledged meanwhile (docs/operations.md); with the others it loses nothing.
        patience: How long after the last fault everything may take to end.
    """

    seed: int
    jobs: int
    lasts: timedelta
    faults: int
    heartbeat_timeout: timedelta
    fsync: Literal["always", "no"] = "always"
    patience: timedelta = timedelta(minutes=2)


async def run_chaos(plan: Plan, folder: Path) -> Verdict:
    """Does it. Call it from the main thread, which Redis is started by."""
    async with _everything(plan, folder) as (upstream, faults):
        began = time.monotonic()
        looking = asyncio.create_task(_look(upstream, faults))
        attacking = asyncio.create_task(_attack(plan, faults))
        await _hand_in(plan, upstream)
        await attacking
        await faults.end()
        took = time.monotonic() - began
        with suppress(TimeoutError):
            await wait_until(lambda: not upstream.count.open, "all answers", patience=plan.patience)
        with suppress(TimeoutError):
            await wait_until(lambda: _is_at_rest(faults), "rest", patience=timedelta(seconds=30))
        if looking.done():
            looking.result()  # it broke, and nothing after that tells anything
        looking.cancel()
        faults.deployment.end_processes()  # nobody is to be busy with anything else while the ledger is read
        snapshot = _snapshot(faults)
        return judge(
            count=upstream.count,
            notes=faults.deployment.notes(),
            snapshot=snapshot,
            hits=faults.hits,
            absences_us=faults.absences_us,
            broken_model_calls=faults.weather.refused + faults.weather.broken,
            connections_cut=faults.to_redis.cuts + faults.to_model.cuts,
            answers_lost=faults.to_redis.answers_lost,
            took=timedelta(seconds=took),
        )


@asynccontextmanager
async def _everything(plan: Plan, folder: Path) -> AsyncIterator[tuple[Upstream, Faults]]:
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedRedis(folder, port=0, fsync=plan.fsync))
        endpoint = stack.enter_context(Endpoint(remembers=False))
        to_redis = stack.enter_context(Proxy(_port(server.url)))
        to_model = stack.enter_context(Proxy(_port(endpoint.url)))
        deployment = Deployment(server.url, endpoint, folder, namespace="chaos")
        deployment.server = server
        stack.callback(deployment.stop_all)
        model = Model(plan.seed)
        through_proxy = server.url.replace(f":{_port(server.url)}", f":{to_redis.port}")
        fleet = Fleet(
            deployment,
            {
                "redis_url": through_proxy,
                "openai_base_url": endpoint.url.replace(f":{_port(endpoint.url)}", f":{to_model.port}"),
                "heartbeat_timeout": plan.heartbeat_timeout.total_seconds(),
                "model_attempts": _MODEL_ATTEMPTS,
            },
        )
        faults = Faults(
            deployment=deployment,
            server=server,
            fleet=fleet,
            to_redis=to_redis,
            to_model=to_model,
            weather=model.weather,
            chance=random.Random(plan.seed),
            heartbeat_timeout=plan.heartbeat_timeout,
        )
        settings = deployment.settings.model_copy(update={"redis_url": SecretStr(through_proxy)})
        async with AsyncClient(settings=settings) as client:
            await fleet.begin()
            yield Upstream(deployment, client, model=endpoint.script(model)), faults
            await deployment.client.close()


async def _hand_in(plan: Plan, upstream: Upstream) -> None:
    """Hands all orders in, evenly over the time, as long as not too many are open."""
    began, gap_s = time.monotonic(), plan.lasts.total_seconds() / plan.jobs
    async with asyncio.TaskGroup() as submits:
        for number in range(1, plan.jobs + 1):
            await asyncio.sleep(max(0.0, began + number * gap_s - time.monotonic()))
            await wait_until(lambda: len(upstream.count.open) < _MOST_OPEN, "open jobs to end", patience=plan.patience)
            submits.create_task(upstream.hand_in(order(plan.seed, number)))


async def _attack(plan: Plan, faults: Faults) -> None:
    gap_s = plan.lasts.total_seconds() / (plan.faults + 1)
    for kind in deck(plan.faults, faults.chance):
        began = time.monotonic()
        await asyncio.sleep(gap_s * faults.chance.uniform(0.2, 1))
        await faults.do(kind)
        await asyncio.sleep(max(0.0, began + gap_s - time.monotonic()))


async def _look(upstream: Upstream, faults: Faults) -> None:
    while True:
        faults.fleet.look()
        if faults.redis_is_here:
            quietly(upstream.read_answers)
        await asyncio.sleep(_LOOK_AGAIN_S)


def _is_at_rest(faults: Faults) -> bool:
    prefix, client = faults.deployment.prefix, faults.deployment.redis
    return not any(
        client.hlen(f"{prefix}:{queue}.msgs") or client.zcard(f"{prefix}:{queue}:schedule") for queue in QUEUES
    )


def _snapshot(faults: Faults) -> Snapshot:
    with redis.Redis.from_url(faults.deployment.redis_url, socket_timeout=_PATIENCE_WITH_A_SNAPSHOT_S) as client:
        return Snapshot.take(client, faults.deployment.prefix)


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port
