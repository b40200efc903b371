"""Who takes part: ours, and what a user would pick instead. Starts the processes of each.

Everybody has one process for the model's turns (`orchestrator`), one for the tools (`worker`), with whatever each
starts itself, and one that stores (`store`). What was chosen for each peer, and why, is told in docs/peers.md.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.contenders.contender import ORCHESTRATOR, WORKER
from benchmarks.contenders.trunkline_contender import trunkline_environment
from benchmarks.measured_processes import MeasuredProcesses
from benchmarks.peers.installed import npm_program, python_with
from benchmarks.peers.load_elsewhere import LoadElsewhere
from benchmarks.peers.postgresql import PostgresServer, free_port
from benchmarks.peers.restate_server import RestateServer
from messaging.embedded.embedded_redis import EmbeddedRedis

STORE: Final = "store"
_PROGRAMS: Final = "benchmarks.peers.programs"


@dataclass(frozen=True, slots=True)
class Running:
    """A contender that has done its first job."""

    load: LoadElsewhere
    processes: MeasuredProcesses
    start_worker: Callable[[], None]
    """Starts the process for the tools (again)."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a contender is started."""

    model_url: str
    folder: Path
    """For logs and files; is there, and empty."""


Start = Callable[[Site], AbstractContextManager[Running]]
"""Starts everything anew, and ends it all after.

Raises:
    PeerUnavailable: It cannot be installed, or does not start, on this machine.
"""


def _model_environment(site: Site) -> Mapping[str, str]:
    return {"OPENAI_BASE_URL": site.model_url, "OPENAI_API_KEY": "benchmark"}


@contextmanager
def _on_redis(
    site: Site,
    *,
    python: Path,
    client: str,
    commands: Mapping[str, Sequence[str]],
    environment: Callable[[str], Mapping[str, str]],
) -> Iterator[Running]:
    """Two processes of one Python beside an embedded Redis.

    Args:
        site: Where.
        python: That has the packages.
        client: The module of `programs` that hands jobs in.
        commands: The arguments of Python, by process.
        environment: Of all of them, from the URL of Redis.
    """
    with EmbeddedRedis(site.folder, port=0) as server, MeasuredProcesses(site.folder) as processes:
        told = {"PEER_REDIS_URL": server.url, **environment(server.url)}

        def start(name: str) -> None:
            processes.start(name, commands[name], told, program=str(python))

        for name in commands:
            start(name)
        processes.adopt(STORE, server.pid)
        with LoadElsewhere(python, client, told, site.folder / "load.log") as load:
            yield from _after_first_job(Running(load, processes, lambda: start(WORKER)))


def _after_first_job(running: Running) -> Iterator[Running]:
    running.load.first_job()
    running.processes.all_are_up()
    yield running


def trunkline(site: Site) -> AbstractContextManager[Running]:
    """Ours, as an operator would start it."""
    return _on_redis(
        site,
        python=Path(sys.executable),
        client="trunkline_client",
        commands={ORCHESTRATOR: ["-m", "trunkline", "orchestrator"], WORKER: ["-m", "trunkline", "worker"]},
        environment=lambda redis_url: trunkline_environment(redis_url, site.model_url),
    )


def celery(site: Site) -> AbstractContextManager[Running]:
    """Celery: chords, late acknowledgement, on Redis."""
    worker = ["-m", "celery", "-A", f"{_PROGRAMS}.celery_tasks", "worker", "--loglevel", "WARNING"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return _on_redis(
        site,
        python=python_with("celery"),
        client="celery_client",
        commands={
            ORCHESTRATOR: [*worker, *quiet, "-Q", "orchestrator", "-n", "orchestrator@%h"],
            WORKER: [*worker, *quiet, "-Q", "tools", "-n", "tools@%h"],
        },
        environment=lambda _: _model_environment(site),
    )


def dramatiq_groups(site: Site) -> AbstractContextManager[Running]:
    """Dramatiq: groups with completion callbacks, on Redis."""
    command = ["-m", "dramatiq", f"{_PROGRAMS}.dramatiq_actors", "--processes", "1", "--threads", "8", "--queues"]
    return _on_redis(
        site,
        python=Path(sys.executable),  # it is a dependency of ours
        client="dramatiq_client",
        commands={ORCHESTRATOR: [*command, "orchestrator"], WORKER: [*command, "tools"]},
        environment=lambda _: {**_model_environment(site), "dramatiq_worker_timeout": "10"},
    )


def taskiq(site: Site) -> AbstractContextManager[Running]:
    """taskiq: coroutines that gather, on Redis streams."""
    command = ["-m", "taskiq", "worker", "--workers", "1", "--log-level", "WARNING"]
    return _on_redis(
        site,
        python=python_with("taskiq"),
        client="taskiq_client",
        commands={
            ORCHESTRATOR: [*command, f"{_PROGRAMS}.taskiq_tasks:orchestrator"],
            WORKER: [*command, f"{_PROGRAMS}.taskiq_tasks:tools"],
        },
        environment=lambda _: _model_environment(site),
    )


@contextmanager
def dbos(site: Site) -> Iterator[Running]:
    """DBOS: workflows and queues, on PostgreSQL."""
    python = python_with("dbos")
    with PostgresServer() as server, MeasuredProcesses(site.folder) as processes:
        told = {"PEER_DATABASE_URL": server.url, **_model_environment(site)}

        def start(name: str, queue: str) -> None:
            processes.start(name, ["-m", f"{_PROGRAMS}.dbos_workflows", queue], told, program=str(python))

        start(ORCHESTRATOR, "orchestrator")
        start(WORKER, "tools")
        processes.adopt(STORE, server.pid)
        server.wait_for_rows("dbos.queues", 2)  # both processes are up
        with LoadElsewhere(python, "dbos_client", told, site.folder / "load.log") as load:
            yield from _after_first_job(Running(load, processes, lambda: start(WORKER, "tools")))


@contextmanager
def restate(site: Site) -> Iterator[Running]:
    """Restate: durable handlers of two services, called by its server."""
    server_program, python = npm_program("@restatedev/restate-server-*", "restate-server"), python_with("restate")
    ports = {ORCHESTRATOR: free_port(), WORKER: free_port()}
    services = {ORCHESTRATOR: "orchestrator", WORKER: "tools"}
    with MeasuredProcesses(site.folder) as processes:
        server = RestateServer(site.folder / "restate")
        processes.start(STORE, server.arguments, server.environment, program=str(server_program))

        def start(name: str) -> None:
            serves = ["-m", "hypercorn", "--bind", f"127.0.0.1:{ports[name]}", "--workers", "1"]
            application = f"{_PROGRAMS}.restate_services:{services[name]}"
            processes.start(name, [*serves, application], _model_environment(site), program=str(python))

        for name in ports:
            start(name)
        server.wait_until_it_answers(processes.logs)
        for port in ports.values():
            server.register(f"http://127.0.0.1:{port}", processes.logs)
        told = {"PEER_INGRESS_URL": server.ingress_url}
        with LoadElsewhere(python, "restate_client", told, site.folder / "load.log") as load:
            yield from _after_first_job(Running(load, processes, lambda: start(WORKER)))


CONTENDERS: Final[Mapping[str, Start]] = {
    "trunkline": trunkline,
    "celery": celery,
    "dramatiq": dramatiq_groups,
    "taskiq": taskiq,
    "dbos": dbos,
    "restate": restate,
}
"""By the names that the figures carry."""
