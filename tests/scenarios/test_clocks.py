"""Processes whose clocks are minutes off: what is due, over or dead is told by Redis's clock alone."""

import time
from pathlib import Path

import pytest

from messaging.envelopes import living_workers
from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import ask, at_first, call, refuse, say
from tests.scenarios.faulty_process import Role
from tests.scenarios.processes import Process, start_module

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]

OFF_S = 600
#: Python runs this module of a folder in its path before any other.
SITE = """
import time
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + {off_s}
time.time_ns = lambda: _time_ns() + {off_s} * 10**9
"""


def _start(deployment: Deployment, role: Role, folder: Path, *, off_s: int, pool: str | None = None) -> Process:
    site = folder / role
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE.format(off_s=off_s))
    environment = {**deployment.environment(pool=pool), "PYTHONPATH": str(site)}
    process = start_module(role, environment, log=folder / f"{role}.log")
    deployment.processes.append(process)
    return process


async def test_clocks_that_are_minutes_off_change_nothing(deployment: Deployment, tmp_path: Path) -> None:
    ahead = _start(deployment, "workers", tmp_path, off_s=OFF_S, pool="alpha,gamma,delta")
    behind = _start(deployment, "orchestrator", tmp_path, off_s=-OFF_S)
    right = deployment.start("workers", pool="alpha")
    await deployment.serving(ahead, behind, right)
    workers = {info["pid"]: info for info in deployment.ask(living_workers())}
    assert workers[ahead.pid]["started"] - workers[behind.pid]["started"] > 1.9 * OFF_S, "they are not off"

    calls = ask(call("pay", amount=1), call("third_time"), call("nap", seconds=1.5), call("unsafe_nap", seconds=1.5))
    model = deployment.endpoint.script(at_first(1, refuse(503, "busy"), calls), say("done"))
    job = await deployment.completed(model=model, timeout_ms=60_000)
    assert [kind for kind, _ in await deployment.outcomes(job)] == ["succeeded"] * 4
    assert [one.attempts for one in await deployment.calls(job)] == [1, 3, 1, 1]

    sleeping = deployment.endpoint.script(ask(call("nap", seconds=15)), say("never"))
    late = await deployment.finish(model=sleeping, timeout_ms=1_000)
    assert late.state == "expired"

    times = [event.at_us / 1e6 async for event in deployment.client.events(job.job_id)]
    assert times == sorted(times)
    assert abs(times[-1] - time.time()) < 60
    assert {info["worker"] for info in deployment.ask(living_workers())} == {
        info["worker"] for info in workers.values()
    }, "nobody was declared dead"
