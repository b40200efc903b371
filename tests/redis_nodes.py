"""Redis servers of their own for tests of fail-overs: single nodes, a deployment with Sentinels, a Cluster."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import redis
from redis.crc import key_slot

from messaging.embedded.embedded_redis import find_server_binary
from messaging.processes.die_with_parent import guarded_command, way_of_this_platform

T = TypeVar("T")

AWAY = (redis.ConnectionError, redis.TimeoutError)
SLOT = key_slot(b"trunkline")
"""The slot of a Cluster that all keys of a deployment are in."""

_NO_FILE = ("--save", "", "--repl-diskless-sync-delay", "0")
_IN_CLUSTER = (*_NO_FILE, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], *, patience_s: float = 30) -> None:
    give_up_at = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come true"
        time.sleep(0.02)


def succeeds(call: Callable[[], object]) -> bool:
    try:
        call()
    except AWAY:
        return False
    return True


async def eventually(call: Callable[[], Awaitable[T]]) -> T:
    give_up_at = time.monotonic() + 30
    while True:
        try:
            return await call()
        except AWAY:
            assert time.monotonic() < give_up_at, "Redis did not come back"
            await asyncio.sleep(0.02)


class Node:
    """One server process on a port of its own, without a file; it ends with the tests whatever happens."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port = free_port()
        own = folder / str(self.port)
        own.mkdir()
        command = [str(find_server_binary()), *arguments, "--port", str(self.port), "--bind", "127.0.0.1"]
        self.process = subprocess.Popen(
            guarded_command([*command, "--dir", str(own)], parent=os.getpid(), way=way_of_this_platform()),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.client = redis.Redis(port=self.port, decode_responses=True)
        wait_until(lambda: succeeds(self.client.ping))

    def command(self, *words: str | int) -> object:
        answer: object = self.client.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py's
        return answer

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)  # with what guards it
        self.process.wait()

    def stop(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.kill()


@contextlib.contextmanager
def stopped_at_the_end() -> Iterator[list[Node]]:
    nodes: list[Node] = []
    try:
        yield nodes
    finally:
        for node in nodes:
            node.stop()


class SentinelDeployment:
    """A primary, a replica, and three Sentinels, which a fail-over needs to agree."""

    def __init__(self, folder: Path, nodes: list[Node]) -> None:
        self.primary = Node(folder, *_NO_FILE)
        nodes.append(self.primary)
        self.replica = Node(folder, *_NO_FILE, "--replicaof", "127.0.0.1", str(self.primary.port))
        nodes.append(self.replica)
        self.sentinels: list[Node] = []
        for number in range(3):
            configuration = folder / f"sentinel{number}.conf"
            configuration.write_text(
                f"sentinel monitor orders 127.0.0.1 {self.primary.port} 2\n"
                "sentinel down-after-milliseconds orders 500\n"
                "sentinel failover-timeout orders 3000\n"
            )
            self.sentinels.append(Node(folder, str(configuration), "--sentinel"))
            nodes.append(self.sentinels[-1])
        wait_until(self.ready)
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/orders/0"

    def ready(self) -> bool:
        def state(sentinel: Node) -> tuple[str, str]:
            answer = sentinel.command("SENTINEL", "MASTER", "orders")
            assert isinstance(answer, dict)
            return str(answer["num-other-sentinels"]), str(answer["num-slaves"])

        linked = self.replica.client.info("replication")["master_link_status"] == "up"
        return linked and all(state(sentinel) == ("2", "1") for sentinel in self.sentinels)


class ClusterDeployment:
    """Three primaries, of which the first owns our slot, and a replica of that one."""

    def __init__(self, folder: Path, nodes: list[Node]) -> None:
        nodes += [
            Node(folder, *_IN_CLUSTER, "--cluster-replica-validity-factor", "0", "--cluster-port", str(free_port()))
            for _ in range(4)
        ]
        self.owner, self.second, self.third, self.replica = nodes
        for node in nodes[1:]:
            bus = str(self.owner.client.config_get("cluster-port")["cluster-port"])
            node.command("CLUSTER", "MEET", "127.0.0.1", self.owner.port, bus)
        others = [slot for slot in range(16384) if slot != SLOT]
        self.owner.command("CLUSTER", "ADDSLOTS", SLOT)
        self.second.command("CLUSTER", "ADDSLOTS", *others[::2])
        self.third.command("CLUSTER", "ADDSLOTS", *others[1::2])
        owner_id = self.owner.command("CLUSTER", "MYID")
        wait_until(lambda: str(owner_id) in str(self.replica.command("CLUSTER", "NODES")))
        self.replica.command("CLUSTER", "REPLICATE", str(owner_id))
        wait_until(lambda: all(self.settled(node) for node in nodes))
        # One seed only, and not the owner: the others have to be learned.
        self.url = f"redis+cluster://127.0.0.1:{self.second.port}"

    def settled(self, node: Node) -> bool:
        information = node.command("CLUSTER INFO")
        assert isinstance(information, dict)
        healthy = information["cluster_state"] == "ok"
        return healthy and self.replica.client.info("replication").get("master_link_status") == "up"
