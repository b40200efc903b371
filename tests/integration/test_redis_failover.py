"""Clients follow the primary: after a demotion, with Sentinels, and in a Cluster. The servers are real."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import redis

from messaging.errors import RedisUnreachable
from messaging.redis_access.clients import ClientOptions, build_async_client, build_client, connection_errors
from messaging.redis_access.server_check import check_server
from tests.redis_nodes import (
    AWAY,
    SLOT,
    ClusterDeployment,
    Node,
    SentinelDeployment,
    eventually,
    stopped_at_the_end,
    succeeds,
    wait_until,
)

OPTIONS = ClientOptions(longest_block=timedelta(seconds=2), max_connections=4)


def test_clients_leave_a_server_that_was_demoted_while_they_were_connected(tmp_path: Path) -> None:
    """As behind an endpoint of a cloud provider, whose name leads elsewhere after a fail-over."""
    outcome: list[redis.RedisError] = []
    with stopped_at_the_end() as nodes:
        nodes += [Node(tmp_path), Node(tmp_path)]
        demoted, promoted = nodes
        with build_client(f"redis://127.0.0.1:{demoted.port}", OPTIONS) as client:

            def block() -> None:
                try:
                    client.blpop(["list"], timeout=2)
                except redis.RedisError as error:
                    outcome.append(error)

            client.ping()
            blocked = threading.Thread(target=block)
            blocked.start()
            wait_until(lambda: demoted.client.info("clients")["blocked_clients"] == 1)
            client.ping()  # on a connection of its own
            demoted.command("REPLICAOF", "127.0.0.1", promoted.port)
            blocked.join()
            assert isinstance(outcome[0], redis.ConnectionError)
            connections = demoted.client.info("stats")["total_connections_received"]
            for _ in range(3):
                with pytest.raises(redis.ConnectionError, match="not the primary any more"):
                    client.set("key", "value")
            # Where the address leads was asked anew each time, except on the connection that was there already.
            assert demoted.client.info("stats")["total_connections_received"] >= connections + 2


def test_an_asyncio_client_leaves_a_server_that_was_demoted(tmp_path: Path) -> None:
    async def follow(demoted: Node, promoted: Node) -> None:
        async with build_async_client(f"redis://127.0.0.1:{demoted.port}", OPTIONS) as client:
            blocked = asyncio.ensure_future(client.blpop(["list"], timeout=2))
            is_blocked = partial(wait_until, lambda: demoted.client.info("clients")["blocked_clients"] == 1)
            await asyncio.to_thread(is_blocked)
            demoted.command("REPLICAOF", "127.0.0.1", promoted.port)
            with pytest.raises(redis.ConnectionError):
                await blocked
            with pytest.raises(redis.ConnectionError, match="not the primary any more"):
                await client.set("key", "value")

    with stopped_at_the_end() as nodes:
        nodes += [Node(tmp_path), Node(tmp_path)]
        asyncio.run(follow(*nodes))


@pytest.fixture
def sentinel_deployment(tmp_path: Path) -> Iterator[SentinelDeployment]:
    with stopped_at_the_end() as nodes:
        yield SentinelDeployment(tmp_path, nodes)


def connected_port(client: redis.Redis) -> int:
    return int(client.info("server")["tcp_port"])


def test_both_kinds_of_clients_follow_a_fail_over_after_the_primary_is_killed(
    sentinel_deployment: SentinelDeployment,
) -> None:
    deployment = sentinel_deployment

    async def follow() -> int:
        async with build_async_client(deployment.url, OPTIONS) as client:
            assert int((await client.info("server"))["tcp_port"]) == deployment.primary.port
            deployment.sentinels[0].kill()  # the first one asked does not answer either
            deployment.primary.kill()
            with pytest.raises(AWAY):
                await client.set("while", "nobody is primary")
            await eventually(lambda: client.set("after", "fail-over"))
            return int((await client.info("server"))["tcp_port"])

    with build_client(deployment.url, OPTIONS) as client:
        client.set("before", "fail-over")
        assert connected_port(client) == deployment.primary.port
        assert asyncio.run(follow()) == deployment.replica.port
        wait_until(lambda: succeeds(lambda: client.set("after", "fail-over")))
        assert connected_port(client) == deployment.replica.port


def test_a_service_that_the_sentinels_do_not_know_is_named(sentinel_deployment: SentinelDeployment) -> None:
    url = sentinel_deployment.url.replace("/orders", "/order")
    with build_client(url, OPTIONS) as client, pytest.raises(RedisUnreachable, match="'order' is not known"):  # noqa: SIM117
        with connection_errors(url):
            client.ping()


@pytest.fixture
def cluster_deployment(tmp_path: Path) -> Iterator[ClusterDeployment]:
    with stopped_at_the_end() as nodes:
        yield ClusterDeployment(tmp_path, nodes)


def test_a_cluster_works_like_one_server_and_clients_follow_its_fail_over(
    cluster_deployment: ClusterDeployment,
) -> None:
    deployment = cluster_deployment
    script = "redis.call('RPUSH', KEYS[1] .. ':list', ARGV[1]) return redis.call('LLEN', '{trunkline}:list')"

    async def follow() -> int:
        async with build_async_client(deployment.url, OPTIONS) as client:
            assert await eventually(lambda: client.eval(script, 1, "{trunkline}", "x")) == 2
            deployment.owner.kill()
            deployment.second.client.config_set("requirepass", "closed")  # the only seed does not let us in any more
            await eventually(lambda: client.set("{trunkline}:after", "fail-over"))
            return int((await client.info("server"))["tcp_port"])

    with build_client(deployment.url, OPTIONS) as client:
        assert client.eval(script, 1, "{trunkline}", "x") == 1
        client.wait(1, 1000)
        assert connected_port(client) == deployment.owner.port
        assert asyncio.run(follow()) == deployment.replica.port
        wait_until(lambda: succeeds(lambda: client.set("{trunkline}:after", "fail-over")))
        assert client.llen("{trunkline}:list") == 2
        assert check_server(client, in_cluster=True)[0].severity == "warning"  # that it keeps no file


def took(node: Node, *change: str) -> bool:
    try:
        node.command("CLUSTER", "SETSLOT", SLOT, *change)
    except redis.ResponseError as error:
        if not str(error).startswith("NOREPLICAS"):  # its replica has not reported yet
            raise
        return False
    return True


def test_clients_follow_the_slot_to_another_node(cluster_deployment: ClusterDeployment) -> None:
    deployment = cluster_deployment
    with build_client(deployment.url, OPTIONS) as client:
        client.get("{trunkline}:key")
        new_owner = str(deployment.third.command("CLUSTER", "MYID"))
        old_owner = str(deployment.owner.command("CLUSTER", "MYID"))
        for node, *change in (
            (deployment.third, "IMPORTING", old_owner),
            (deployment.owner, "MIGRATING", new_owner),
            (deployment.third, "NODE", new_owner),
        ):
            wait_until(partial(took, node, *change))
        with pytest.raises(redis.ConnectionError, match="not the primary any more"):
            client.get("{trunkline}:key")
        wait_until(lambda: succeeds(lambda: client.set("{trunkline}:key", "value")))
        assert connected_port(client) == deployment.third.port
