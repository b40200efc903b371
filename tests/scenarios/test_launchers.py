"""The processes as operators start them: by the standard `dramatiq` command, and under the supervisor."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from messaging.embedded.embedded_redis import EmbeddedRedis
from messaging.envelopes import living_workers
from messaging.processes.advocate import Advocate
from messaging.processes.supervisor import ChildSpec, Supervisor
from tests.scenarios.deployment import HEARTBEAT_TIMEOUT, Deployment
from tests.scenarios.endpoint import Endpoint, ask, at_first, call, refuse, say
from tests.scenarios.faulty_process import Role
from tests.scenarios.messages import dead_letters, message, push
from tests.scenarios.waiting import all_of, wait_until

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]


class DramatiqCommands:
    """Runs of the standard `dramatiq` command, in a folder that has nothing of ours."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self._deployment = deployment
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, setup: str, **settings: object) -> "subprocess.Popen[bytes]":
        """Starts `dramatiq <setup>` and does not wait for it."""
        environment = {**os.environ, **self._deployment.environment(**settings)}  # type: ignore[arg-type]
        command: list[str | Path] = [
            Path(sys.executable).with_name("dramatiq"),
            setup,
            "--processes",
            "1",
            "--threads",
            "4",
        ]
        log = self._folder / f"{setup}-{len(self._running)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(command, env=environment, cwd=self._folder, stdout=stream, stderr=stream)
        self._running.append(process)
        return process

    async def serving(self, *queues: str) -> None:
        """Waits until somebody living serves each of these queues."""
        await wait_until(lambda: set(queues) <= self.pids().keys(), f"workers of {queues}")

    def pids(self) -> dict[str, int]:
        """The process that serves each queue."""
        return {queue: info["pid"] for info in self._deployment.ask(living_workers()) for queue in info["queues"]}

    def logs(self) -> str:
        """What they wrote."""
        return "\n".join(log.read_text() for log in self._folder.glob("*.log"))

    def stop(self) -> None:
        """Ends them all."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._running:
            process.wait(20)


@pytest.fixture
def commands(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DramatiqCommands]:
    commands = DramatiqCommands(deployment, tmp_path_factory.mktemp("elsewhere"))
    yield commands
    commands.stop()


async def test_the_standard_dramatiq_command_runs_everything_and_survives_kill(
    deployment: Deployment, commands: DramatiqCommands
) -> None:
    commands.start("orchestrator.app:setup")
    doomed = commands.start("workers.app:setup", pool="alpha,beta,gamma,delta")
    await commands.serving("orchestrator", "intake", "alpha", "beta", "gamma", "delta")
    calls = ask(
        call("pay", amount=1),
        call("count", numbers=[1, 2]),
        call("third_time"),
        call("walk", steps=2),
        call("stumble", kind="exit"),
        call("stumble_thread", kind="exit"),
        call("hang"),
        call("hang_thread"),
    )
    model = deployment.endpoint.script(at_first(1, refuse(503, "busy"), calls), say("done"))
    job = await deployment.completed(model=model)
    kinds = [kind for kind, _ in await deployment.outcomes(job)]
    assert kinds == ["succeeded"] * 4 + ["failed"] * 2 + ["timed_out"] * 2, commands.logs()
    bad = push(deployment, "alpha", b"{")
    unknown = push(deployment, "alpha", message("alpha", "no_such_actor", {}))
    await wait_until(lambda: len(dead_letters(deployment, "alpha")) == 2, "the dead letters")
    assert dead_letters(deployment, "alpha").keys() == {bad, unknown}

    napping = deployment.endpoint.script(ask(call("nap", seconds=1), call("unsafe_nap", seconds=1)), say("slept"))
    job_of_the_dead = await deployment.submit(model=napping)
    await deployment.noted("begin", job_of_the_dead, times=2)
    os.kill(commands.pids()["alpha"], signal.SIGKILL)
    await wait_until(lambda: doomed.poll() is not None, "the end of the whole command")
    commands.start("workers.app:setup", pool="alpha,beta,gamma,delta")
    assert (await deployment.result(job_of_the_dead)).answer == "slept"
    assert [kind for kind, _ in await deployment.outcomes(job_of_the_dead)] == ["succeeded", "unknown"]

    sleeping = await deployment.submit(model=deployment.endpoint.script(ask(call("nap", seconds=15)), say("never")))
    await deployment.noted("begin", sleeping)
    await deployment.client.cancel(sleeping.job_id)
    await deployment.noted("cancelled", sleeping)


@pytest.mark.parametrize("role", ["orchestrator", "workers"])
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"redis_url": "unix:///nowhere/redis.sock"}, "cannot reach Redis at unix:///nowhere/redis.sock"),
        ({"heartbeat_timeout": "soon"}, "TRUNKLINE_HEARTBEAT_TIMEOUT: "),
    ],
    ids=["redis", "settings"],
)
async def test_a_process_that_cannot_start_says_why_in_a_line(
    deployment: Deployment, role: Role, settings: dict[str, Any], words: str
) -> None:
    process = deployment.start(role, pool="alpha", **settings)
    assert await process.ended() == 1
    [line] = process.log.read_text().splitlines()
    assert words in line


async def test_a_worker_of_a_pool_that_has_no_tools_says_so(deployment: Deployment) -> None:
    process = deployment.start("workers", pool="alfa")
    assert await process.ended() == 1
    assert "No tool of the pool 'alfa' was found" in process.log.read_text()


@dataclass(frozen=True)
class Supervised:
    """A supervisor, and the deployment that its children are."""

    deployment: Deployment
    supervisor: Supervisor


@asynccontextmanager
async def _supervised(deployment: Deployment, *pools: str, heartbeat_timeout: int) -> AsyncIterator[Supervised]:
    """A supervisor of an orchestrator and of a process for each of `pools`."""
    environment = deployment.environment(heartbeat_timeout=heartbeat_timeout)
    orchestrator, worker = ([sys.executable, "-P", "-m", role] for role in ("orchestrator", "workers"))
    specs = [
        ChildSpec("orchestrator", orchestrator, environment),
        *[ChildSpec(pool, worker, {**environment, "TRUNKLINE_POOL": pool}) for pool in pools],
    ]
    supervisor = Supervisor(
        lambda: Advocate(deployment.settings),
        heartbeat_timeout=timedelta(seconds=heartbeat_timeout),
        stop_timeout=timedelta(seconds=5),
    )
    supervisor.start(specs)
    looking = asyncio.create_task(_look(supervisor))
    try:
        await _serving(deployment, "orchestrator", *pools)
        yield Supervised(deployment, supervisor)
    finally:
        looking.cancel()
        supervisor.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def supervised(
    scenario_redis: EmbeddedRedis, endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Supervised]:
    """One for several tests, whose heartbeat time-out is far longer than they take."""
    folder = tmp_path_factory.mktemp("supervised")
    deployment = Deployment(scenario_redis.url, endpoint, folder, namespace="supervised")
    async with _supervised(deployment, "reading", "gamma", heartbeat_timeout=60) as supervised:
        yield supervised
    await deployment.client.close()
    deployment.stop_all()


async def test_the_supervisor_restarts_what_dies_and_the_others_go_on(supervised: Supervised) -> None:
    deployment, before = supervised.deployment, dict(supervised.supervisor.pids)
    calls = ask(call("read_and_die"), call("pay", amount=1))
    job = await deployment.completed(model=deployment.endpoint.script(calls, say("so be it")))
    assert await deployment.outcomes(job) == [("succeeded", "survived"), ("succeeded", '{"paid":1}')]
    assert [one.attempts for one in await deployment.calls(job)] == [2, 1]
    await _serving(deployment, "reading")
    assert {name for name, pid in supervised.supervisor.pids.items() if pid != before[name]} == {"reading"}
    await deployment.keeps_its_promises()


async def test_under_the_supervisor_a_tool_that_always_kills_its_process_is_answered(supervised: Supervised) -> None:
    deployment = supervised.deployment
    deadly = ask(call("read_and_die", always=True))
    model = deployment.endpoint.script(deadly, ask(call("read_deed"), call("pay", amount=1)), say("so be it"))
    job = await deployment.completed(model=model)
    (kind, why), *others = await deployment.outcomes(job)
    assert kind == "failed"
    assert "died 3 times" in why
    assert [kind for kind, _ in others] == ["succeeded"] * 2
    assert [cause["reason"] for cause in dead_letters(deployment, "reading").values()] == ["crashed"]
    await deployment.keeps_its_promises()


async def test_a_tool_that_kills_its_process_takes_no_call_beside_it_along(supervised: Supervised) -> None:
    deployment = supervised.deployment
    beside = [call("read_deed", seconds=0.3) for _ in range(9)]
    calls = ask(*beside[:4], call("read_and_die", always=True), *beside[4:])
    model = deployment.endpoint.script(calls, say("so be it"))
    outcomes = await deployment.outcomes(await deployment.completed(model=model))
    assert [kind for kind, _ in outcomes] == ["succeeded"] * 4 + ["failed"] + ["succeeded"] * 5
    await deployment.keeps_its_promises()


async def test_the_supervisor_restarts_a_killed_orchestrator_whose_turns_go_on_at_once(supervised: Supervised) -> None:
    deployment = supervised.deployment
    model = deployment.endpoint.script(at_first(1, say("too late").after(20), say("in time")))
    jobs = await all_of(deployment.submit(f"job {number}", model=model) for number in range(5))
    await wait_until(lambda: len(deployment.endpoint.requests(model)) == 5, "the model calls")
    os.kill(supervised.supervisor.pids["orchestrator"], signal.SIGKILL)
    assert {result.answer for result in await all_of(deployment.result(job) for job in jobs)} == {"in time"}
    await deployment.keeps_its_promises()


async def test_a_retired_process_finishes_its_call_and_is_not_started_again(deployment: Deployment) -> None:
    async with _supervised(deployment, "alpha", heartbeat_timeout=60) as supervised:
        model = deployment.endpoint.script(ask(call("unsafe_nap", seconds=0.5)), say("slept"))
        job = await deployment.submit(model=model)
        await deployment.noted("begin", job)
        supervised.supervisor.retire("alpha")
        assert (await deployment.result(job)).answer == "slept"
        assert await deployment.outcomes(job) == [("succeeded", "slept 0.5")]
        await wait_until(lambda: "alpha" not in supervised.supervisor.pids, "its end")
        assert supervised.supervisor.kept == ["orchestrator"]


async def test_a_retired_process_that_does_not_end_in_its_time_is_killed(
    deployment: Deployment, tmp_path: Path
) -> None:
    supervisor = Supervisor(
        lambda: Advocate(deployment.settings),
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        stop_timeout=timedelta(seconds=-4.9),  # five more are added
    )
    asked, deaf = tmp_path / "asked", tmp_path / "deaf"
    program = (
        "import pathlib, signal, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: pathlib.Path({str(asked)!r}).touch())\n"
        f"pathlib.Path({str(deaf)!r}).touch()\n"
        "while True: time.sleep(60)"
    )
    supervisor.start([ChildSpec("deaf", [sys.executable, "-c", program])])
    await wait_until(deaf.exists, "its start")
    supervisor.retire("deaf")
    await wait_until(asked.exists, "its being asked")
    looking = asyncio.create_task(_look(supervisor))
    await wait_until(lambda: not supervisor.pids, "its end")
    looking.cancel()


async def test_a_tool_that_holds_the_interpreter_for_three_time_outs_is_not_taken_for_dead(
    deployment: Deployment,
) -> None:
    """Also not in a pool of a single process, as operators start it, with others that look for the dead."""
    await deployment.run("orchestrator")
    with _launched(deployment, "worker", "--pool", "alpha"):
        await _serving(deployment, "alpha")
        workers = _living(deployment)
        seconds = HEARTBEAT_TIMEOUT.total_seconds() * 3
        model = deployment.endpoint.script(ask(call("grip", seconds=seconds), call("look", text="x")), say("done"))
        job = await deployment.completed(model=model)
        assert await deployment.outcomes(job) == [("succeeded", "let go"), ("succeeded", "seen x")]
        assert [one.attempts for one in await deployment.calls(job)] == [1, 1]
        assert _living(deployment) == workers


@contextmanager
def _launched(deployment: Deployment, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`trunkline` as operators start it."""
    command: list[str | Path] = [Path(sys.executable).with_name("trunkline"), *arguments]
    launcher = subprocess.Popen(command, env={**os.environ, **deployment.environment()}, stderr=subprocess.DEVNULL)
    try:
        yield launcher
    finally:
        launcher.terminate()
        launcher.wait(20)


def _living(deployment: Deployment) -> set[str]:
    return {info["worker"] for info in deployment.ask(living_workers())}


async def _look(supervisor: Supervisor) -> None:
    while True:
        supervisor.look()
        await asyncio.sleep(0.05)


async def _serving(deployment: Deployment, *queues: str) -> None:
    def all_do() -> bool:
        served = {queue for info in deployment.ask(living_workers()) for queue in info["queues"]}
        return set(queues) <= served and deployment.redis.exists(f"{deployment.prefix}:catalogue") == 1

    await wait_until(all_do, f"workers of {queues}")
