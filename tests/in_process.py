"""A whole deployment in the test's own event loop: orchestrator and workers as tasks, on a real Redis.

For tests of behaviour that needs no process of its own; what needs one is in `tests/scenarios`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from pydantic import SecretStr

from ledger.catalogue import publish_tools
from messaging.command_runner import PipeliningRunner
from messaging.event_loop_worker import EventLoopWorker
from messaging.redis_access.connections import async_client
from messaging.settings import load_settings
from orchestrator import app as orchestrator_app
from orchestrator.app import Orchestrator, OrchestratorActors
from orchestrator.model_client import ModelClient
from orchestrator.settings import OrchestratorSettings
from schemas.call import Call
from schemas.job_result import JobResult
from trunkline import AsyncClient
from workers import app as worker_app
from workers.app import WorkerActors
from workers.registry import ToolRegistry
from workers.settings import WorkerSettings
from workers.tool import Tool

WAIT = timedelta(seconds=30)


@dataclass(frozen=True)
class InProcess:
    """A running deployment."""

    client: AsyncClient

    async def run(self, text: str = "go", **fields: Any) -> tuple[JobResult, Sequence[Call]]:
        """Hands a job in and waits for its end; answers the result and the calls."""
        accepted = await self.client.submit(text, **fields)
        result = await self.client.result(accepted.job_id, timeout=WAIT)
        return result, await self.client.calls(accepted.job_id)


@asynccontextmanager
async def deployment(
    redis_url: str,
    *,
    model: ModelClient,
    tools: Sequence[Tool[..., Any]],
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> AsyncIterator[InProcess]:
    """Runs an orchestrator with `model` and one worker with `tools` and `settings`."""
    common: dict[str, Any] = {"redis_url": SecretStr(redis_url), "heartbeat_timeout": timedelta(seconds=2)}
    for_orchestrator = load_settings(OrchestratorSettings, **common)
    for_worker = load_settings(WorkerSettings, **common, **settings)
    registry = ToolRegistry((tool, "the test") for tool in tools)
    orchestrator_broker = orchestrator_app.build_broker(for_orchestrator)
    worker_broker = worker_app.build_broker(for_worker, registry)
    stop = asyncio.Event()
    running = []
    for broker, slots in ((orchestrator_broker, 100), (worker_broker, 8)):
        client = async_client(for_worker)
        runner = PipeliningRunner(client, namespace=broker.namespace)
        if broker is orchestrator_broker:
            parts = Orchestrator.build(for_orchestrator, runner=runner, model=model)
            OrchestratorActors(broker, for_orchestrator, parts)
        else:
            WorkerActors(broker, for_worker, registry, runner)
            await runner.run(publish_tools(tool.specification for tool in tools))
        worker = EventLoopWorker(broker, client=client, runner=runner, slots=slots, stop_timeout=timedelta(seconds=1))
        running.append(asyncio.create_task(worker.run(stop)))
    async with AsyncClient(redis_url) as job_client:
        try:
            yield InProcess(job_client)
        finally:
            stop.set()
            await asyncio.gather(*running)
