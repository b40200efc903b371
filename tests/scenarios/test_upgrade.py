"""Two releases side by side: the one at hand, and the next one, which writes and reads one schema version more.

The next one is a copy of the code with the version raised, run from a folder of its own, so it does read what the
release at hand has written.
"""

import asyncio
import re
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import schemas.wire
from ledger.accepting import Accepted
from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import ask, call, say
from tests.scenarios.faulty_process import Role
from tests.scenarios.processes import Process
from tests.scenarios.waiting import all_of, wait_until

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]

_ROOT = Path(schemas.wire.__file__).parent.parent
_PACKAGES = ("schemas", "messaging", "ledger", "orchestrator", "workers", "trunkline")
_VERSION = re.compile(r"(?<=SCHEMA_VERSION: Final = )\d+|(?<=local SCHEMA_VERSION = )\d+")
OLD, NEW = schemas.wire.SCHEMA_VERSION, schemas.wire.SCHEMA_VERSION + 1


@pytest.fixture(scope="module")
def next_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the next release."""
    folder = tmp_path_factory.mktemp("next")
    for package in _PACKAGES:
        shutil.copytree(_ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "json"))
    raised = 0
    for file in (folder / "schemas" / "wire.py", folder / "ledger" / "lua" / "fragments" / "jobs.lua"):
        text, times = _VERSION.subn(str(NEW), file.read_text("utf-8"))
        file.write_text(text, "utf-8")
        raised += times
    assert raised == 2
    return folder


async def test_a_rolling_restart_to_the_next_release_under_load_fails_no_job(
    deployment: Deployment, next_release: Path
) -> None:
    places = {"orchestrator": None, "alpha": "alpha,beta", "gamma": "gamma,delta"}
    old = {name: _start(deployment, pool) for name, pool in places.items()}
    await deployment.serving(*old.values())
    jobs: list[Accepted] = []
    loading = asyncio.create_task(_load(deployment, jobs))
    await wait_until(lambda: len(deployment.notes(what="done")) > 10, "the middle of things")

    new = {"orchestrator": _start(deployment, None, code=next_release)}
    await deployment.serving(*new.values())
    new |= {name: _start(deployment, pool, code=next_release) for name, pool in places.items() if pool}
    seen = _Versions(deployment)
    for name, process in old.items():  # for a while there is a new orchestrator, and nobody but old workers
        await deployment.serving(new[name])
        done = len(deployment.notes(what="done"))
        await wait_until(lambda done=done: len(deployment.notes(what="done")) > done + 20, "work of both")  # type: ignore[misc]
        assert seen.look() == {OLD}
        process.send(signal.SIGTERM)
        assert await process.ended() == 0
    await wait_until(lambda: NEW in seen.look(), "messages of the new version")
    loading.cancel()

    results = await all_of(deployment.result(job) for job in jobs)
    assert Counter((result.state, result.answer) for result in results) == {("completed", "done"): len(jobs)}
    for job in jobs:
        calls = await deployment.calls(job)
        assert [one.outcome and one.outcome.kind for one in calls] == ["succeeded"] * 4, calls
        assert [one.attempts for one in calls] == [1, 1, 1, 3]
    workers = {process.pid for process in deployment.processes if process.role == "workers"}
    assert {note.pid for note in deployment.notes()} == workers


async def test_what_the_previous_release_has_enqueued_is_done_by_the_next_one(
    deployment: Deployment, next_release: Path
) -> None:
    old = [_start(deployment, None), _start(deployment, "alpha,beta,gamma,delta")]
    await deployment.serving(*old)
    await old[1].kill()  # its tools are known, and what is called waits
    model = deployment.endpoint.script(ask(call("pay", amount=1), call("look", text="x")), say("done"))
    job = await deployment.submit(model=model)
    await wait_until(lambda: deployment.redis.llen(f"{deployment.prefix}:gamma") == 1, "the call in its queue")
    await old[0].kill()
    waiting = await deployment.submit(model=model)
    new = [_start(deployment, None, code=next_release), _start(deployment, "alpha,beta,gamma,delta", code=next_release)]
    await deployment.serving(*new)
    for one in (job, waiting):
        assert (await deployment.result(one)).answer == "done"
        assert [kind for kind, _ in await deployment.outcomes(one)] == ["succeeded"] * 2


def _start(deployment: Deployment, pool: str | None, *, code: Path | None = None) -> Process:
    role: Role = "workers" if pool else "orchestrator"
    settings: dict[str, Any] = {"heartbeat_timeout": 5, **({"calls_at_once": 32} if pool else {})}
    return deployment.start(role, pool=pool, entry="module" if code else "fork", code=code, **settings)


async def _load(deployment: Deployment, jobs: list[Accepted]) -> None:
    model = deployment.endpoint.script(
        ask(call("pay", amount=1), call("nap", seconds=0.2), call("count", numbers=[1]), call("third_time")).after(0.1),
        say("done").after(0.1),
    )
    while True:
        jobs.append(await deployment.submit(f"job {len(jobs)}", model=model))
        await asyncio.sleep(0.1)


class _Versions:
    """The schema versions of all messages that wait, are in flight or are scheduled, now and before."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self.seen: set[int] = set()

    def look(self) -> set[int]:
        for key in self._deployment.redis.scan_iter(f"{self._deployment.prefix}:*.msgs"):
            bodies: Any = self._deployment.redis.hvals(key)
            for body in bodies:
                self.seen.update(int(version) for version in re.findall(rb'"schema_version":(\d+)', body))
        return self.seen
