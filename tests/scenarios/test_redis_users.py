"""The Redis of `deploy/`, started by its own script: each of its users can do its work, and nothing else."""

import json
import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dramatiq
import pytest
import pytest_asyncio
import redis
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

from messaging.embedded.embedded_redis import find_server_binary
from tests.command_line import CommandLine
from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import Endpoint, ask, call, say
from tests.scenarios.messages import message, push
from tests.scenarios.waiting import wait_until

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]

ROOT: Final = Path(__file__).parents[2]
START: Final = str(ROOT / "deploy/redis/start.sh")
NS: Final = "{trunkline}"


@dataclass(frozen=True)
class Server:
    """A server with the users of `deploy/redis`."""

    port: int

    def url(self, user: str) -> str:
        return f"redis://{user}:{user}-password-of-tests@127.0.0.1:{self.port}/0"

    def client(self, user: str) -> redis.Redis:
        return redis.Redis.from_url(self.url(user))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = Server(probe.getsockname()[1])
    folder = tmp_path_factory.mktemp("redis")
    environment = {
        "PATH": os.environ["PATH"],
        "DATA": str(folder),
        "REDIS_SERVER": str(find_server_binary()),
        **{f"{user.upper()}_PASSWORD": f"{user}-password-of-tests" for user in _USERS},
    }
    command: list[str | Path] = [
        "sh",
        ROOT / "deploy/redis/start.sh",
        "--bind",
        "127.0.0.1",
        "--port",
        str(server.port),
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, env=environment, stdout=log) as process:
        try:
            with server.client("readonly") as client:
                while not _answers(client):
                    assert process.poll() is None, (folder / "log").read_text()
            yield server
        finally:
            process.terminate()


_USERS: Final = ("admin", "processes", "upstream", "readonly")


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(
    server: Server, endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    """An orchestrator and a worker, as the user of processes; the test itself looks on as the admin."""
    folder = tmp_path_factory.mktemp("running")
    deployment = Deployment(server.url("admin"), endpoint, folder)
    for role, pool in (("orchestrator", None), ("workers", "alpha,gamma")):
        await deployment.run(role, pool=pool, redis_url=server.url("processes"), heartbeat_timeout=5)  # type: ignore[arg-type]
    yield deployment
    await deployment.client.close()
    deployment.stop_all()


async def test_processes_and_a_stock_upstream_do_their_work_as_their_users(running: Deployment, server: Server) -> None:
    answers: list[dict[str, Any]] = []

    def on_answer(result: dict[str, Any] | None = None, refused: dict[str, Any] | None = None) -> None:
        answers.append(result or refused or {})

    client = server.client("upstream")
    # No maintenance: Trunkline's own processes do it, and Dramatiq's looks for keys of the whole server.
    broker = RedisBroker(client=client, namespace=NS, maintenance_chance=0)  # type: ignore[no-untyped-call]
    dramatiq.actor(actor_name="on_answer", queue_name="reply.shop", broker=broker)(on_answer)
    worker = dramatiq.Worker(broker, queues={"reply.shop"}, worker_timeout=50, worker_threads=1)
    worker.start()
    running.replies_are_read = True
    try:
        model = running.endpoint.script(ask(call("third_time"), call("pay", amount=2)), say("done"))
        reply_to = {"queue": "reply.shop", "actor": "on_answer"}
        job = {"messages": [{"role": "user", "content": "go"}], "model": model, "reply_to": reply_to}
        sent: Any = dramatiq.Message(
            queue_name="intake", actor_name="accept_job", args=(), kwargs={"job": job}, options={}
        )
        broker.enqueue(sent)
        broker.enqueue(sent.copy(message_id="later"), delay=100)
        await wait_until(
            lambda: len(answers) == 2,
            "the answers",
        )
        assert [answer["answer"] for answer in answers] == ["done", "done"]
    finally:
        worker.stop()
        client.close()
    napping = running.endpoint.script(ask(call("nap", seconds=15)), say("never"))
    cancelled = await running.submit(model=napping)
    await running.noted("begin", cancelled)
    await running.client.cancel(cancelled.job_id)
    await running.noted("cancelled", cancelled)
    await running.keeps_its_promises()


async def test_a_message_that_plain_redis_commands_left_is_taken_in(running: Deployment, server: Server) -> None:
    model = running.endpoint.script(say("hello"))
    job = {"messages": [{"role": "user", "content": "go"}], "model": model}
    body = json.dumps(message("intake", "accept_job", {"job": job}, id="by-hand"))
    with server.client("upstream") as client:
        client.hset(f"{NS}:intake.msgs", "by-hand", body)
        client.rpush(f"{NS}:intake", "by-hand")
    await wait_until(lambda: len(running.endpoint.requests(model)) == 1, "its model call")


async def test_an_upstream_can_neither_read_jobs_nor_reach_pools(running: Deployment, server: Server) -> None:
    job = await running.completed(model=running.endpoint.script(say("secret")))
    with server.client("upstream") as client:
        for words in (
            ("HGETALL", f"{NS}:job:{job.job_id}"),
            ("LRANGE", f"{NS}:conversation:{job.conversation_id}:messages", 0, -1),
            ("RPUSH", f"{NS}:alpha", "x"),
            ("HSET", f"{NS}:orchestrator.msgs", "x", "{}"),
            ("HSET", f"{NS}:alpha:limits", "paused", "1"),
            ("SADD", f"{NS}:__acks__.someone.alpha", "x"),
            ("EVAL", "return redis.call('HGETALL', KEYS[1] .. ':jobs')", 1, NS),
            ("KEYS", "*"),
            ("SCAN", 0),
            ("CONFIG", "GET", "*"),
            ("FLUSHALL",),
        ):
            with pytest.raises((redis.exceptions.NoPermissionError, redis.ResponseError), match="permission"):
                client.execute_command(*words)


async def test_the_user_of_processes_has_no_way_out_of_its_namespace(server: Server) -> None:
    with server.client("processes") as client:
        for words in (
            ("SET", "other", 1),
            ("GET", "{trunklinex}:y"),
            ("KEYS", "*"),
            ("FLUSHALL",),
            ("FLUSHDB",),
            ("CONFIG", "SET", "appendonly", "no"),
            ("ACL", "LIST"),
            ("SHUTDOWN",),
            ("SCRIPT", "FLUSH"),
            ("FUNCTION", "FLUSH"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*words)
    nobody = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0))
    with pytest.raises(redis.exceptions.AuthenticationError):
        nobody.ping()
    nobody.close()


async def test_every_command_of_our_scripts_is_allowed_to_processes(server: Server) -> None:
    sources = "".join(file.read_text() for file in ROOT.glob("*/lua/**/*.lua"))
    ours = {command.lower() for command in re.findall(r"redis\.call\('([A-Z]+)'", sources)}
    assert len(ours) > 30
    with server.client("admin") as client:
        allowed = {name.decode() for of in ("read", "write") for name in client.execute_command("ACL", "CAT", of)}
        refused = {name.decode() for of in ("admin", "dangerous") for name in client.execute_command("ACL", "CAT", of)}
    names = {name.partition("|")[0] for name in allowed - refused}
    assert ours - names == {"time"}  # which the file names


async def test_who_may_only_read_sees_everything_and_changes_nothing(
    running: Deployment, server: Server, tmp_path: Path
) -> None:
    job = await running.completed(model=running.endpoint.script(ask(call("look", text="x")), say("done")))
    dead = push(running, "alpha", b"{")
    cli = CommandLine(tmp_path, {"TRUNKLINE_REDIS_URL": server.url("readonly")})
    looks = ("queue list", "pool list", "dead list", "job list", f"job show {job.job_id}", "tools list")
    for look, result in zip(looks, cli.run_each(*((look.split(), {}) for look in looks)), strict=True):
        assert (look, result.code, result.err) == (look, 0, "")
    doctor = cli.run("doctor", "--json")
    assert {"subject": "Redis", "verdict": "ok"}.items() <= next(
        finding for finding in doctor.document if finding["subject"] == "Redis"
    ).items()
    changes = ("queue pause alpha", "queue limit alpha --rate 1/s", f"dead retry {dead}", "submit hello")
    for change, result in zip(changes, cli.run_each(*((change.split(), {}) for change in changes)), strict=True):
        assert (change, result.code) == (change, 3)
        assert "permission" in result.err
    with server.client("readonly") as client, pytest.raises(redis.ResponseError, match="permission"):
        client.eval("return redis.call('DEL', KEYS[1] .. ':jobs')", 1, NS)
