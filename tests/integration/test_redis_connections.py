"""Clients built from URLs, with real servers, over sockets and TLS. Fail-overs are in `test_redis_failover.py`."""

import asyncio
import contextlib
import os
import shutil
import signal
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest
import redis

from messaging.embedded.embedded_redis import EmbeddedRedis
from messaging.errors import RedisUnreachable
from messaging.redis_access.clients import ClientOptions, build_async_client, build_client, connection_errors
from messaging.redis_access.primary import Finding, PrimaryLocator
from messaging.redis_access.server_check import check_server
from tests.redis_nodes import Node, eventually, free_port, stopped_at_the_end, succeeds, wait_until

OPTIONS = ClientOptions(longest_block=timedelta(seconds=2), max_connections=4)


def test_both_kinds_of_clients_reach_the_same_server(redis_url: str) -> None:
    async def read() -> object:
        async with build_async_client(redis_url, OPTIONS) as client:
            return await client.get("key")

    with build_client(redis_url, OPTIONS) as client:
        client.set("key", "value")
    assert asyncio.run(read()) == b"value"


def test_answers_are_text_when_that_is_asked_for(redis_url: str) -> None:
    options = ClientOptions(longest_block=timedelta(0), max_connections=1, decode_responses=True)
    with build_client(redis_url, options) as client:
        client.set("key", "value")
        assert client.get("key") == "value"


def test_who_finds_all_connections_in_use_waits_for_one(redis_url: str) -> None:
    options = ClientOptions(longest_block=timedelta(seconds=2), max_connections=1)
    with build_client(redis_url, options) as client, build_client(redis_url, OPTIONS) as other:
        blocked = threading.Thread(target=lambda: client.blpop(["list"], timeout=2))
        blocked.start()
        wait_until(lambda: other.info("clients")["blocked_clients"] == 1)
        threading.Timer(0.1, lambda: other.rpush("list", "x")).start()
        assert client.ping()
        blocked.join()


def test_a_blocking_command_may_take_its_whole_time_out(redis_url: str) -> None:
    with build_client(redis_url, OPTIONS) as client:
        assert client.blpop(["list"], timeout=OPTIONS.longest_block.total_seconds()) is None


class LosesAnswers(socketserver.BaseRequestHandler):
    """Takes commands, and hangs up instead of answering; except that it is in the best of health."""

    received: ClassVar[list[bytes]] = []

    def handle(self) -> None:
        while (command := self.request.recv(1000)) and b"PING" in command:
            self.request.sendall(b"+PONG\r\n")
        self.received.append(command)


@pytest.fixture
def url_that_loses_answers() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), LosesAnswers) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        LosesAnswers.received.clear()
        yield f"redis://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_command_whose_answer_is_lost_is_not_sent_again(url_that_loses_answers: str) -> None:
    url = url_that_loses_answers

    def pop() -> None:
        with build_client(url, OPTIONS) as client:
            client.lpop("list")

    def pop_in_a_pipeline() -> None:
        with build_client(url, OPTIONS) as client, client.pipeline(transaction=False) as pipeline:
            pipeline.lpop("list")
            pipeline.execute()

    async def pop_on_a_loop() -> None:
        async with build_async_client(url, OPTIONS) as client:
            await client.lpop("list")

    async def pop_in_a_pipeline_on_a_loop() -> None:
        async with build_async_client(url, OPTIONS) as client, client.pipeline(transaction=False) as pipeline:
            pipeline.lpop("list")
            await pipeline.execute()

    ways: list[Callable[[], None]] = [
        pop,
        pop_in_a_pipeline,
        lambda: asyncio.run(pop_on_a_loop()),
        lambda: asyncio.run(pop_in_a_pipeline_on_a_loop()),
    ]
    for count, way in enumerate(ways, start=1):
        with pytest.raises(redis.ConnectionError):
            way()
        assert len(LosesAnswers.received) == count
    assert all(b"LPOP" in command for command in LosesAnswers.received)


def test_an_unreachable_server_is_an_error_with_the_url_the_reason_and_the_next_step() -> None:
    url = f"redis://user:hunter2@127.0.0.1:{free_port()}/1"

    async def ping() -> None:
        async with build_async_client(url, OPTIONS) as client:
            with connection_errors(url):
                await client.ping()

    with build_client(url, OPTIONS) as client, pytest.raises(RedisUnreachable) as blocking, connection_errors(url):
        client.ping()
    with pytest.raises(RedisUnreachable) as from_loop:
        asyncio.run(ping())
    for error in (blocking.value, from_loop.value):
        assert "redis://***@127.0.0.1" in str(error)
        assert "refused" in str(error)
        assert "start `trunkline up` or set TRUNKLINE_REDIS_URL" in str(error)
        assert "hunter2" not in str(error)


def test_a_wrong_password_is_unreachable_too(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path, port=0) as server:
        url = server.url.replace("redis://:", "redis://:not-")
        with (
            build_client(url, OPTIONS) as client,
            pytest.raises(RedisUnreachable, match="password"),
            connection_errors(url),
        ):
            client.ping()


def test_clients_come_back_after_a_restart_of_the_server(tmp_path: Path) -> None:
    async def ping_around(restart: Callable[[], None]) -> None:
        async with build_async_client(server.url, OPTIONS) as client:
            await client.ping()
            restart()
            assert await eventually(lambda: client.ping())

    with EmbeddedRedis(tmp_path) as server, build_client(server.url, OPTIONS) as client:

        def restart() -> None:
            os.kill(server.pid, signal.SIGKILL)
            wait_until(lambda: not server.alive)
            server.start()

        client.ping()
        restart()
        wait_until(lambda: succeeds(client.ping))
        asyncio.run(ping_around(restart))


# TLS. The embedded server's binary has none, so a proxy ends it in front of the server, as stunnel would.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    command += " -addext subjectAltName=DNS:localhost -keyout key.pem -out certificate.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture
def tls_port(tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_redis = await asyncio.open_connection("127.0.0.1", node.port)
        await asyncio.gather(carry(reader, to_redis[1]), carry(to_redis[0], writer))

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    with stopped_at_the_end() as nodes:
        node = Node(tmp_path)
        nodes.append(node)
        thread.start()
        starting = asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        server = asyncio.run_coroutine_threadsafe(starting, loop).result()
        yield server.sockets[0].getsockname()[1]
        loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_both_kinds_of_clients_speak_tls_and_check_the_certificate(
    tls_port: int, certificate: tuple[Path, Path]
) -> None:
    async def ping(url: str) -> object:
        async with build_async_client(url, OPTIONS) as client:
            with connection_errors(url):
                return await client.ping()

    trusted = f"rediss://localhost:{tls_port}?ssl_ca_certs={certificate[0]}"
    with build_client(trusted, OPTIONS) as client:
        assert client.ping()
    assert asyncio.run(ping(trusted))

    unknown = f"rediss://localhost:{tls_port}"
    with build_client(unknown, OPTIONS) as client, pytest.raises(RedisUnreachable, match=r"(?i)certificate"):  # noqa: SIM117
        with connection_errors(unknown):
            client.ping()
    with pytest.raises(RedisUnreachable, match=r"(?i)certificate"):
        asyncio.run(ping(unknown))


def test_sentinels_and_nodes_of_a_cluster_are_asked_over_tls_too(tls_port: int, certificate: tuple[Path, Path]) -> None:
    locator = PrimaryLocator(
        [("localhost", tls_port)],
        tls=True,
        options={"ssl_ca_certs": str(certificate[0]), "protocol": 2, "driver_info": None},
        question=("ECHO", "primary"),
        read=lambda answer, _node: Finding((answer.decode(), 1)),
        sought="the primary",
    )
    assert locator.find() == ("primary", 1)
    assert asyncio.run(locator.find_async()) == ("primary", 1)


# What a server has to be


def test_the_embedded_server_has_no_problem(redis_server: EmbeddedRedis) -> None:
    with build_client(redis_server.url, OPTIONS) as client:
        assert check_server(client) == []


def test_a_server_that_drops_keys_or_is_a_replica_is_refused(tmp_path: Path) -> None:
    with stopped_at_the_end() as nodes:
        primary = Node(tmp_path, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
        replica = Node(tmp_path, "--replicaof", "127.0.0.1", str(primary.port))
        nodes += [primary, replica]
        errors = [problem.what for problem in check_server(primary.client) if problem.severity == "error"]
        assert errors == ["maxmemory-policy is allkeys-lru: when memory is short, Redis drops messages"]
        wait_until(lambda: replica.client.info("replication")["role"] == "slave")
        assert any("replica" in problem.what for problem in check_server(replica.client))


def test_a_user_who_may_not_ask_everything_is_warned_and_one_without_lua_is_refused(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path, port=0) as server, build_client(server.url, OPTIONS) as admin:
        admin.acl_setuser("blind", enabled=True, passwords=["+x"], keys=["*"], commands=["+@all", "-info", "-config"])
        admin.acl_setuser("mute", enabled=True, passwords=["+x"], keys=["*"], commands=["+@all", "-@scripting"])
        address = server.url.rpartition("@")[2]
        with build_client(f"redis://blind:x@{address}", OPTIONS) as client:
            (problem,) = check_server(client)
            assert (problem.severity, "INFO and CONFIG GET" in problem.what) == ("warning", True)
        with build_client(f"redis://mute:x@{address}", OPTIONS) as client:
            (problem,) = check_server(client)
            assert (problem.severity, "Lua" in problem.what) == ("error", True)


def test_a_server_that_does_not_answer_is_a_problem_and_not_an_exception() -> None:
    with build_client(f"redis://127.0.0.1:{free_port()}", OPTIONS) as client:
        (problem,) = check_server(client)
    assert problem.severity == "error"
    assert "refused" in problem.what
