"""`trunkline up --autoscale`: pools grow and shrink with their load, each by itself, and no call suffers from it."""

import asyncio
import signal
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from messaging.envelopes import living_workers
from messaging.limits import QueueLimits, Rate, set_queue_limits
from tests.command_line import CommandLine, interrupt
from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import ask, call, say
from tests.scenarios.waiting import all_of, wait_until

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]


@dataclass
class Pools:
    """The processes of each pool, as the ledger knows them, now and ever."""

    deployment: Deployment
    ever: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    largest: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def look(self) -> dict[str, set[int]]:
        now: dict[str, set[int]] = defaultdict(set)
        for info in self.deployment.ask(living_workers()):
            for queue in info["queues"]:
                now[queue].add(info["pid"])
        for pool, pids in now.items():
            self.ever[pool] |= pids
            self.largest[pool] = max(self.largest[pool], len(pids))
        return now

    def size(self, pool: str) -> int:
        return len(self.look()[pool])

    async def keep_looking(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(0.05)


async def test_a_pool_grows_and_shrinks_under_load_while_others_stay_and_no_job_fails(
    deployment: Deployment, tmp_path: Path
) -> None:
    cli = CommandLine(tmp_path, deployment.environment(calls_at_once=2, log_level="error"))
    pools = ("--pool", "alpha=1-4", "--pool", "beta=1-4", "--pool", "gamma=1-4")
    with cli.up(*pools, "--autoscale", "--scale-down-after", "1s") as (process, _):
        seen = Pools(deployment)
        looking = asyncio.create_task(seen.keep_looking())
        beta_before = seen.look()["beta"]
        deployment.ask(set_queue_limits("gamma", QueueLimits(rate=Rate(5.0))))

        napping = deployment.endpoint.script(ask(*[call("nap", seconds=0.3)] * 5), say("slept"))
        counting = deployment.endpoint.script(ask(call("count", numbers=[1, 2])), say("counted"))
        paying = deployment.endpoint.script(ask(*[call("pay", amount=1)] * 30), say("paid"))
        loads = [deployment.submit(model=napping) for _ in range(30)]
        others = [deployment.submit(model=counting) for _ in range(5)]
        throttled = await deployment.submit(model=paying)
        jobs = await all_of(loads + others)

        await wait_until(lambda: seen.size("alpha") == 4, "four processes of the loaded pool")
        results = await all_of(deployment.result(job) for job in [*jobs, throttled])
        assert {result.state for result in results} == {"completed"}
        await wait_until(lambda: seen.size("alpha") == 1, "one process again")
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking

        assert seen.largest == {"orchestrator": 1, "intake": 1, "alpha": 4, "beta": 1, "gamma": 1}
        assert seen.ever["beta"] == beta_before
        attempts = [one.attempts for job in jobs for one in await deployment.calls(job)]
        assert set(attempts) == {1}, "stopping a process interrupted a call"
        assert len({note.pid for note in deployment.notes(what="done")} & seen.ever["alpha"]) == 4
        assert interrupt(process, signal.SIGINT).code == 0
