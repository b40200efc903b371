"""Half a minute of everything going wrong at once; `make chaos` is the long form."""

import random
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.chaos.driver import Plan, run_chaos

pytestmark = [
    pytest.mark.scenario,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(sys.platform != "linux", reason="the processes of a supervisor are found as Linux tells them"),
]


async def test_nothing_is_lost_or_done_twice_while_everything_goes_wrong(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    plan = Plan(
        seed=seed,
        jobs=300,
        lasts=timedelta(seconds=15),
        faults=30,
        heartbeat_timeout=timedelta(seconds=1),
        fsync="no",
    )
    verdict = await run_chaos(plan, tmp_path)
    told = f"the seed was {seed}\n{verdict.describe()}"
    assert not verdict.problems, told
    assert verdict.attempted == verdict.accepted == plan.jobs, told
    assert verdict.completed > plan.jobs * 0.9, told
    assert verdict.kills >= 8, told
    assert verdict.faults_in_flight >= 8, told
    assert verdict.kills_in_flight >= 3, told
    assert verdict.recovered >= 3, told
