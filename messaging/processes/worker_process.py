"""Running an event-loop worker as a process: its loop, its signals, its connections."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from messaging.broker import TrunklineBroker
from messaging.command_runner import PipeliningRunner
from messaging.event_loop_worker import EventLoopWorker
from messaging.limits_file import read_limits_file
from messaging.processes.event_loop import forget_garbage, run_on_a_loop
from messaging.processes.health import health_server
from messaging.processes.life_line import teller_of
from messaging.redis_access.clients import connection_errors
from messaging.redis_access.connections import async_client
from messaging.settings import DeploymentSettings, resolve_redis_url

_log = structlog.get_logger(__name__)

#: Declares the actors of a process on its broker, once there is a runner for them; answers what to close at the end.
Declare = Callable[[PipeliningRunner], Callable[[], Awaitable[None]] | None]


def run_worker(
    broker: TrunklineBroker,
    settings: DeploymentSettings,
    declare: Declare,
    *,
    slots: int,
    stop_timeout: timedelta,
) -> None:
    """Runs a worker until SIGTERM or SIGINT, then lets it finish what is in flight, or gives that back.

    Args:
        broker: Of this process.
        settings: Of this process.
        declare: Called on the loop, before anything is consumed.
        slots: How many messages may be in flight at once.
        stop_timeout: How long they may go on after the signal.

    Raises:
        InvalidLimit: The limits file cannot be read.
        RedisUnreachable: Redis does not answer at the start.
    """

    with connection_errors(resolve_redis_url(settings)):
        broker.client.ping()  # later on Redis may be away; at the start this is a mistake that somebody has to know of
    for command in () if settings.limits_file is None else read_limits_file(settings.limits_file):
        broker.runner.run(command)

    broker.tell_supervisor = teller_of(sys.argv[1:])

    async def main() -> None:
        client = async_client(settings)
        runner = PipeliningRunner(client, namespace=broker.namespace)
        close = declare(runner)
        worker = EventLoopWorker(broker, client=client, runner=runner, slots=slots, stop_timeout=stop_timeout)
        forget_garbage()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        _log.info("consuming", queues=sorted(broker.get_declared_queues()), slots=slots)
        try:
            async with health_server(settings.health_port, broker.life.unready):
                await worker.run(stop)
        finally:
            if close is not None:
                await close()
            await runner.close()
            await client.aclose()

    run_on_a_loop(main())
    _log.info("stopped")
