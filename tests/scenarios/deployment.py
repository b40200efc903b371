"""A deployment of real processes for a test: starting, killing and freezing them, handing jobs in, and looking on.

Every deployment has a namespace of its own, so that many can share a Redis.
"""

import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import redis
from pydantic import SecretStr

from ledger.accepting import Accepted
from ledger.settings import LedgerSettings
from messaging.command import Command
from messaging.command_runner import BlockingRunner
from messaging.embedded.embedded_redis import EmbeddedRedis
from messaging.envelopes import living_workers
from messaging.processes.supervise import supervision
from messaging.processes.supervisor import ChildSpec
from schemas.call import Call
from schemas.chat_job import ChatJob
from schemas.job_result import JobResult
from tests.promises import violations_in
from tests.scenarios.endpoint import Endpoint
from tests.scenarios.faulty_process import Fault, Role
from tests.scenarios.processes import Process, start_fork, start_module
from tests.scenarios.waiting import LOOK_AGAIN_S, PATIENCE, wait_until
from tests.snapshot import Snapshot
from trunkline.client import AsyncClient

T = TypeVar("T")

TOOLS: Final = Path(__file__).with_name("scenario_tools.py")
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=1)
#: In which the work of somebody who died goes on, once there is somebody else: the time-out, the interval of checks,
#: and what a busy machine adds.
RECOVERY: Final = HEARTBEAT_TIMEOUT + timedelta(seconds=5)


@dataclass(frozen=True)
class Note:
    """What a tool wrote down."""

    call: str
    what: str
    attempt: int
    key: str
    pid: int
    at: float
    """By the machine's monotonic clock, seconds."""


@dataclass
class Deployment:
    """Processes on one Redis under one namespace, with their endpoint.

    Attributes:
        redis_url: Its Redis.
        endpoint: The model of its orchestrators.
        folder: For notes, logs and markers.
        namespace: Without braces.
    """

    redis_url: str
    endpoint: Endpoint
    folder: Path
    namespace: str = "trunkline"
    processes: list[Process] = field(default_factory=list)
    replies_are_read: bool = False
    """Whether the test itself takes answers from the reply queues."""

    def __post_init__(self) -> None:
        self.server: EmbeddedRedis | None = None
        self.redis = redis.Redis.from_url(self.redis_url)
        self.settings = LedgerSettings(redis_url=SecretStr(self.redis_url), namespace=self.namespace)
        self.client = AsyncClient(settings=self.settings)
        self.prefix = self.settings.key_prefix
        self._notes = self.folder / f"{self.namespace}.notes"
        self._notes.touch()

    # Processes

    def start(
        self,
        role: Role,
        *,
        pool: str | None = None,
        faults: Sequence[Fault] = (),
        copies: int = 1,
        entry: Literal["fork", "module"] = "fork",
        code: Path | None = None,
        **settings: object,
    ) -> Process:
        """Starts a process and does not wait for it.

        Args:
            role: What it is.
            pool: The pools that a worker serves, by commas.
            faults: What goes wrong with it.
            copies: How often whatever it enqueues is delivered.
            entry: `module` is `python -P -m <role>`; `fork` does the same on what a server has imported before.
            code: A folder with another release's packages, for the entry `module`.
            settings: More `TRUNKLINE_*` variables, in lower case.
        """
        environment = self.environment(pool=pool, **settings)
        if code is not None:
            environment["PYTHONPATH"] = str(code)
        log = self.folder / f"{self.namespace}-{len(self.processes)}-{role}.log"
        if entry == "module":
            process = start_module(role, environment, log=log)
        else:
            process = start_fork(role, environment, log=log, faults=faults, copies=copies)
        self.processes.append(process)
        return self.processes[-1]

    def supervise(self, *children: ChildSpec, **settings: object) -> Process:
        """Starts a supervisor, as `trunkline worker` becomes one, and does not wait for it.

        Args:
            children: What it keeps running.
            settings: As for `start`.
        """
        environment = self.environment(**settings)  # type: ignore[arg-type]  # none of them is the pool
        log = self.folder / f"{self.namespace}-{len(self.processes)}-supervisor.log"
        arguments = supervision(
            children,
            heartbeat_timeout=timedelta(seconds=float(environment["TRUNKLINE_HEARTBEAT_TIMEOUT"])),
            stop_timeout=timedelta(seconds=float(environment["TRUNKLINE_STOP_TIMEOUT"])),
        )
        process = start_module("messaging.processes.supervise", environment, log=log, arguments=arguments)
        self.processes.append(process)
        return process

    async def run(self, role: Role, **options: Any) -> Process:
        """Starts a process and waits until it serves."""
        process = self.start(role, **options)
        await self.serving(process)
        return process

    def environment(self, *, pool: str | None = None, **settings: object) -> dict[str, str]:
        """The variables of a process of this deployment."""
        variables: dict[str, object] = {
            "TRUNKLINE_REDIS_URL": self.redis_url,
            "TRUNKLINE_NAMESPACE": self.namespace,
            "TRUNKLINE_HEARTBEAT_TIMEOUT": HEARTBEAT_TIMEOUT.total_seconds(),
            "TRUNKLINE_TOOLS": TOOLS,
            "TRUNKLINE_LOG_FORMAT": "json",
            "TRUNKLINE_STOP_TIMEOUT": 5,
            "OPENAI_BASE_URL": self.endpoint.url,
            "OPENAI_API_KEY": "sk-right",
            "SCENARIO_NOTES": self._notes,
            **({"TRUNKLINE_POOL": pool} if pool else {}),
            **{
                (name if name.startswith(("openai_", "otel_")) else f"trunkline_{name}").upper(): settings[name]
                for name in settings
            },
        }
        return {name: str(value) for name, value in variables.items()}

    async def serving(self, *processes: Process) -> None:
        """Waits until these processes are registered, and the tools of the workers among them published."""

        def all_do() -> bool:
            infos = {info["pid"]: info for info in self.ask(living_workers())}
            for process in processes:
                assert process.alive, f"{process.role} {process.pid} died at its start:\n{process.log.read_text()}"
            if not {process.pid for process in processes} <= infos.keys():
                return False
            tools = [tool for process in processes for tool in infos[process.pid].get("tools", ())]
            return not tools or None not in self.redis.zmscore(f"{self.prefix}:catalogue:seen", tools)

        await wait_until(all_do, "the processes to serve")

    @asynccontextmanager
    async def for_a_test(self) -> AsyncIterator[None]:
        """Checks the promises after a test, and ends everything."""
        try:
            yield
            await self.keeps_its_promises()
        finally:
            await self.client.close()
            self.stop_all()

    def stop_all(self) -> None:
        """Kills what is left, and closes the connections."""
        self.end_processes()
        self.redis.close()

    def end_processes(self) -> None:
        """Kills what is left."""
        for process in self.processes:
            if process.alive:
                process.send(signal.SIGKILL)
        for process in self.processes:
            while process.alive:
                time.sleep(LOOK_AGAIN_S)

    # Jobs

    async def submit(self, job: ChatJob | str = "go", **fields: Any) -> Accepted:
        """Hands a job in."""
        return await self.client.submit(job, **fields)

    async def result(self, job: Accepted | str, *, timeout: timedelta = PATIENCE) -> JobResult:
        """Waits for a job's end."""
        return await self.client.result(job if isinstance(job, str) else job.job_id, timeout=timeout)

    async def finish(self, job: ChatJob | str = "go", **fields: Any) -> JobResult:
        """Hands a job in and waits for its end."""
        return await self.result(await self.submit(job, **fields))

    async def completed(self, job: ChatJob | str = "go", **fields: Any) -> JobResult:
        """The same, for a job that has to complete."""
        result = await self.finish(job, **fields)
        assert result.state == "completed", result.error
        return result

    async def calls(self, job: Accepted | JobResult) -> Sequence[Call]:
        """A job's calls."""
        return await self.client.calls(job.job_id)

    async def outcomes(self, job: Accepted | JobResult) -> list[tuple[str, str]]:
        """How a job's calls ended: kind and content."""
        calls = await self.calls(job)
        return [(call.outcome.kind, call.outcome.content) if call.outcome else ("open", "") for call in calls]

    # Looking on

    def notes(self, job: Accepted | JobResult | None = None, *, what: str | None = None) -> list[Note]:
        """What tools wrote down, in order; of one job, of one kind."""
        lines = self._notes.read_text().splitlines()
        notes = [Note(**json.loads(line)) for line in lines]
        return [
            note
            for note in notes
            if (job is None or note.call.startswith(f"{job.job_id}/")) and (what is None or note.what == what)
        ]

    async def noted(self, what: str, job: Accepted | None = None, *, times: int = 1) -> None:
        """Waits until tools have written something down so often."""
        await wait_until(lambda: len(self.notes(job, what=what)) >= times, f"{times} notes of {what!r}")

    def fault(self, when: str, script: str, *, of: str = "") -> Fault:
        """A fault that hits once, in whichever of the processes that have it; `of` tells several of a kind apart."""
        return Fault(when, script, self.folder / f"{self.namespace}.{when}-{script}-{of}")

    def ask(self, command: Command[T]) -> T:
        """Sends a command of ours."""
        return BlockingRunner(self.redis, namespace=self.prefix).run(command)

    def counters(self) -> Mapping[str, int]:
        """What was refused or repaired."""
        answer: Any = self.redis.hgetall(f"{self.prefix}:counters")
        return {name.decode(): int(value) for name, value in answer.items()}

    def logs(self) -> str:
        """The ends of what all processes logged, without stack traces, for messages of failures."""
        return "\n".join(process.end_of_log() for process in self.processes)

    async def keeps_its_promises(self) -> None:
        """Waits until all is done, and asserts that everything is as promised, before and then."""
        unfinished: list[str] = []

        def at_rest() -> bool:
            nonlocal unfinished
            snapshot = Snapshot.take(self.redis, self.prefix)
            broken = violations_in(snapshot, quiescent=False, replies_are_read=self.replies_are_read)
            assert not broken, "\n".join(["promises are broken:", *broken, self.logs()])
            unfinished = violations_in(snapshot, replies_are_read=self.replies_are_read)
            return not unfinished

        with contextlib.suppress(TimeoutError):
            await wait_until(at_rest, "rest", patience=timedelta(seconds=15))
        assert not unfinished, "\n".join(["not everything is done:", *unfinished, self.logs()])

    def forget_what_has_ended(self) -> None:
        """Removes jobs and conversations from a ledger at rest, so that looking at it stays quick."""
        patterns = ("job:*", "conversation:*", "idempotency:*", "jobs", "feed", "feed:*", "reply.*", "*.XQ*")
        for pattern in patterns:
            for key in self.redis.scan_iter(f"{self.prefix}:{pattern}", count=1000):
                self.redis.delete(key)
