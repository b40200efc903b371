"""The actor of the worker pools, and the broker it is declared on.

`trunkline worker --pool NAME` runs it on an event loop; the stock command does so on threads, for all pools whose tools
it finds, or for those that its `--queues` names:

    dramatiq workers.app:setup
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import dramatiq
from dramatiq.middleware import AsyncIO, Middleware

from ledger.catalogue import PUBLISH_INTERVAL, publish_tools
from messaging.broker import TrunklineBroker
from messaging.command_runner import AsyncCommandRunner, PipeliningRunner
from messaging.delivery import current_delivery
from messaging.envelopes import open_envelope
from messaging.logging import configure_logging
from messaging.queue_commands import Pulse
from messaging.redis_access.connections import async_client, blocking_client
from messaging.settings import load_settings
from schemas.envelope import CallEnvelope
from schemas.wire import SCHEMA_VERSION
from workers.perform import CallPerformer
from workers.policies import around, in_order
from workers.registry import ToolRegistry
from workers.running import ToolRunner
from workers.settings import WorkerSettings
from workers.tool_processes import ToolProcesses
from workers.tool_threads import ToolThreads

#: The actor of the orchestrator that hears of dead letters.
DEAD_LETTER_NOTICE = ("orchestrator", "answer_dead_letter")


class WorkerActors:
    """Declares the actor on a broker, for the pools of a registry.

    Args:
        broker: Where it is declared.
        settings: Of this process.
        registry: The tools.
        runner: Carries commands; by default one is made on the loop of the first call.
    """

    def __init__(
        self,
        broker: TrunklineBroker,
        settings: WorkerSettings,
        registry: ToolRegistry,
        runner: AsyncCommandRunner | None = None,
    ) -> None:
        self._broker = broker
        self._settings = settings
        self._registry = registry
        self._runner = runner
        self._performer: CallPerformer | None = None
        pools = served_pools(settings, registry)
        dramatiq.actor(actor_name="perform_tool_call", queue_name=pools[0], broker=broker)(self.perform_tool_call)
        for pool in pools[1:]:
            broker.declare_queue(pool)

    def performer(self) -> CallPerformer:
        """What the actor works with, on the running loop."""
        if self._performer is None:
            settings = self._settings
            runner = self._runner or PipeliningRunner(async_client(settings), namespace=self._broker.namespace)
            tools = ToolRunner(
                runner=runner,
                threads=ToolThreads(),
                processes=ToolProcesses(
                    modules=settings.tool_modules, pools=settings.pools, set_up_logging=_logging_of(settings, "tool")
                ),
                inline_bytes=settings.inline_result_bytes,
                largest_bytes=settings.largest_result_bytes,
            )
            perform = around(tools.run, in_order(runner, namespace=self._broker.namespace))
            self._performer = CallPerformer(runner=runner, registry=self._registry, perform=perform)
        return self._performer

    async def perform_tool_call(self, **envelope: Any) -> None:
        """Performs one tool call."""
        delivery, performer = current_delivery(), self.performer()
        call = await open_envelope(
            CallEnvelope, envelope, delivery=delivery, runner=performer.runner, notice=DEAD_LETTER_NOTICE
        )
        if call is not None:
            delay = await performer.take(delivery, call)
            if delay is not None:
                self._broker.life.round_due_in(delay)


def served_pools(settings: WorkerSettings, registry: ToolRegistry) -> tuple[str, ...]:
    """The pools that this process serves: those of its settings, also where its modules have tools of others."""
    return registry.pools() if settings.pools is None else tuple(sorted(set(settings.pools)))


def build_broker(
    settings: WorkerSettings, registry: ToolRegistry, *, middleware: tuple[Middleware, ...] = ()
) -> TrunklineBroker:
    """The broker of a worker process, without actors; while its worker lives, it publishes the tools of its pools."""
    broker = TrunklineBroker(
        blocking_client(settings),
        namespace=settings.namespace,
        middleware=middleware,
        heartbeat_timeout=settings.heartbeat_timeout,
        dead_letter_notice=DEAD_LETTER_NOTICE,
    )
    specifications = [
        tool.specification for pool in served_pools(settings, registry) for tool in registry.for_pool(pool)
    ]
    broker.worker_info = {
        "role": "worker",
        "reads": SCHEMA_VERSION,
        "tools": [specification.reference for specification in specifications],
    }
    publish, last = publish_tools(specifications), float("-inf")

    def publish_now_and_then(_: Pulse) -> None:
        nonlocal last
        if time.monotonic() - last >= PUBLISH_INTERVAL.total_seconds():
            broker.runner.run(publish)
            last = time.monotonic()

    broker.on_beat(publish_now_and_then)
    return broker


def _logging_of(settings: WorkerSettings, process_role: str) -> Callable[[], None]:
    return partial(
        configure_logging,
        settings.log_level,
        settings.log_format,
        process_role=process_role,
        hidden_fields=settings.redact_fields,
    )


def setup() -> None:
    """Sets the process's broker and logging up for the stock `dramatiq` command."""
    settings = load_settings(WorkerSettings)
    _logging_of(settings, "worker")()
    registry = ToolRegistry.load(modules=settings.tool_modules, pools=settings.pools)
    broker = build_broker(settings, registry, middleware=(AsyncIO(),))
    dramatiq.set_broker(broker)
    WorkerActors(broker, settings, registry)
