"""`python -m benchmarks.contenders.message_loop`: the actors of the messaging benchmarks on our event-loop worker."""

import asyncio
import os
from datetime import timedelta
from typing import Any

import dramatiq

from benchmarks.contenders.message_actors import HEARTBEAT_TIMEOUT_S, REDIS_URL, SLOTS, queues, writer
from benchmarks.happenings import What
from messaging.broker import TrunklineBroker
from messaging.command import Command
from messaging.command_runner import PipeliningRunner
from messaging.delivery import current_delivery
from messaging.logging import configure_logging
from messaging.processes.worker_process import run_worker
from messaging.redis_access.connections import blocking_client
from messaging.settings import DeploymentSettings, load_settings


def main() -> None:
    """Runs until SIGTERM."""
    configure_logging("info", "json")
    served, happenings = queues(), writer()
    timeout = timedelta(seconds=float(os.environ[HEARTBEAT_TIMEOUT_S]))
    settings = load_settings(DeploymentSettings, redis_url=os.environ[REDIS_URL], heartbeat_timeout=timeout)
    broker = TrunklineBroker(blocking_client(settings), heartbeat_timeout=timeout)

    @dramatiq.actor(broker=broker, queue_name=served[0])
    async def empty() -> None:
        pass

    @dramatiq.actor(broker=broker, queue_name=served[0])
    async def work(number: int, takes_s: float) -> None:
        happenings.note(What.START, number, current_delivery().fetched_us)
        if takes_s:
            await asyncio.sleep(takes_s)
        happenings.note(What.END, number)

    for queue in served[1:]:
        broker.declare_queue(queue)

    def declare(runner: PipeliningRunner) -> None:
        run_once = runner.run_once

        async def run_once_and_note(command: Command[Any]) -> Any:
            if command.script is not None and command.script.name == "fetch":
                happenings.note(What.FETCH, served.index(str(command.words[1])))
            return await run_once(command)

        runner.run_once = run_once_and_note  # type: ignore[method-assign]  # the only place that sees every fetch
        happenings.note(What.UP)

    run_worker(broker, settings, declare, slots=int(os.environ[SLOTS]), stop_timeout=timedelta(0))


if __name__ == "__main__":
    main()
