"""Reading and describing URLs of Redis. Nothing here is connected to."""

from datetime import timedelta

import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st

from messaging.errors import InvalidRedisUrl
from messaging.redis_access.clients import ClientOptions, build_async_client, build_client
from messaging.redis_access.primary import Finding, owner_of_slot
from messaging.redis_access.url import Cluster, Sentinels, SingleServer, describe, parse_redis_url

OPTIONS = ClientOptions(longest_block=timedelta(seconds=30), max_connections=7, client_name="trunkline-test")


def test_a_plain_url_is_read_as_redis_py_reads_it() -> None:
    address = parse_redis_url("redis://user:p%40ss@host:7000/3")
    assert isinstance(address, SingleServer)
    assert address.transport == "tcp"
    assert address.options == {"host": "host", "port": 7000, "username": "user", "password": "p@ss", "db": 3}


def test_tls_options_come_from_the_query() -> None:
    address = parse_redis_url("rediss://host?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=false")
    assert address.transport == "tls"
    assert address.options["ssl_ca_certs"] == "/etc/ca.pem"
    assert address.options["ssl_check_hostname"] is False


def test_a_unix_socket_has_a_path() -> None:
    address = parse_redis_url("unix:///run/my%20redis.sock?db=2&password=x")
    assert isinstance(address, SingleServer)
    assert address.transport == "unix"
    assert address.options == {"path": "/run/my redis.sock", "db": 2, "password": "x"}


def test_sentinels_are_read_with_their_own_password_beside_that_of_the_servers() -> None:
    address = parse_redis_url(
        "rediss+sentinel://user:p%2Fq@one,two:5000,[::1]:5001/orders/4?sentinel_password=other&ssl_ca_certs=/ca.pem"
    )
    assert isinstance(address, Sentinels)
    assert address.seeds == (("one", 26379), ("two", 5000), ("::1", 5001))
    assert address.service == "orders"
    assert address.options == {"username": "user", "password": "p/q", "db": 4, "ssl_ca_certs": "/ca.pem"}
    assert address.sentinel_options == {"password": "other", "ssl_ca_certs": "/ca.pem"}


def test_a_cluster_is_read_with_its_seeds() -> None:
    address = parse_redis_url("redis+cluster://:secret@one:1,two")
    assert isinstance(address, Cluster)
    assert address.seeds == (("one", 1), ("two", 6379))
    assert address.options["password"] == "secret"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://host", "must begin with one of redis://"),
        ("host:6379", "must begin with one of redis://"),
        ("", "must begin with one of redis://"),
        ("redis://host:99999", "its port"),
        ("redis://host:port", "its port"),
        ("redis://[::1", "its host"),
        ("redis://host/zero", "database is not a number"),
        ("redis://host?db=zero", "an option cannot be read"),
        ("redis://host#1", "has a # part"),
        ("redis://host?ssl_ca_certs=/ca.pem", "ssl_ca_certs"),
        ("rediss://host?ssl_cert_reqs=some", "ssl_cert_reqs is none of"),
        ("redis://host?socket_timeout=1", "it cannot have these options: socket_timeout; it can have: db"),
        ("redis://host?retry_on_timeout=true", "retry_on_timeout"),
        ("unix://", "no path"),
        ("redis+sentinel://host", "no service"),
        ("redis+sentinel:///orders", "no host"),
        ("redis+sentinel://one,,two/orders", "no host"),
        ("redis+sentinel://one/orders/zero", "database is not a number"),
        ("redis+cluster://host/1", "no databases"),
        ("redis+cluster://host?db=1", "it cannot have these options: db"),
        ("redis://:pass/word@host", "percent-encoded"),
        ("redis://:pass?word@host", "percent-encoded"),
    ],
)
def test_a_url_that_does_not_fit_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(InvalidRedisUrl) as error:
        parse_redis_url(url)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:1/2", "redis://host:1/2"),
        ("redis://user:hunter2@host:1/2?ssl_password=hunter2", "redis://***@host:1/2"),
        ("redis+sentinel://:hunter2@one:1,two/orders", "redis+sentinel://***@one:1,two/orders"),
        ("rediss+cluster://hunter2@[::1]:5", "rediss+cluster://***@[::1]:5"),
        ("unix:///run/redis.sock?password=hunter2", "unix:///run/redis.sock"),
        ("redis://:hun/ter2@host", "redis://***@host"),
        ("redis://:hun@ter2@host", "redis://***@host"),
        ("redis://:hun?ter2@host", "redis://…"),
        ("redis://:hun#ter2@host", "redis://…"),
        ("redis://:hunter2", "redis://…"),
        ("hunter2", "(not a URL of Redis)"),
    ],
)
def test_a_url_is_described_without_its_secrets(url: str, shown: str) -> None:
    assert describe(url) == shown


@given(
    scheme=st.sampled_from(["redis", "rediss", "redis+sentinel", "redis+cluster"]),
    password=st.text(min_size=1).map(lambda text: f"hunter{text}2hunter"),
)
def test_no_password_however_badly_written_is_described_or_quoted(scheme: str, password: str) -> None:
    url = f"{scheme}://user:{password}@host:6379/1"
    assert "hunter" not in describe(url)
    said = ""
    try:
        parse_redis_url(url)
    except InvalidRedisUrl as error:
        said = str(error)
    assert "hunter" not in said


@pytest.mark.parametrize("url", ["redis://host", "rediss://host", "unix:///s", "redis+cluster://host"])
def test_both_kinds_of_clients_get_the_same_options(url: str) -> None:
    blocking = build_client(url, OPTIONS).connection_pool
    on_loop = build_async_client(url, OPTIONS).connection_pool
    for pool in (blocking, on_loop):
        options = pool.connection_kwargs
        assert pool.max_connections == 7
        assert options["socket_timeout"] > OPTIONS.longest_block.total_seconds()
        assert options["health_check_interval"] > 0
        assert options["retry"].get_retries() == 0
        assert options["decode_responses"] is False
        assert options["client_name"] == "trunkline-test"
        assert options.get("socket_keepalive") is (None if url.startswith("unix") else True)
    same = blocking.connection_kwargs.keys() - {"retry", "locator", "himport_registry"}
    assert blocking.connection_kwargs.keys() == on_loop.connection_kwargs.keys()
    assert all(blocking.connection_kwargs[name] == on_loop.connection_kwargs[name] for name in same)


def test_the_url_cannot_weaken_what_blocking_commands_rely_on() -> None:
    client = build_async_client("redis://host?socket_connect_timeout=1.5", OPTIONS)
    assert isinstance(client, redis.asyncio.Redis)
    assert client.connection_pool.connection_kwargs["socket_connect_timeout"] == 1.5
    assert client.connection_pool.connection_kwargs["socket_timeout"] > OPTIONS.longest_block.total_seconds()


def test_the_owner_of_a_slot_is_read_with_all_other_nodes() -> None:
    ranges = [
        [0, 99, [b"10.0.0.1", 1, b"id"], [b"10.0.0.2", 2, b"id"]],
        [100, 199, [b"", 3, b"id"], [None, 4, b"id"], [b"?", 5, b"id"]],
    ]
    nodes = (("10.0.0.1", 1), ("10.0.0.2", 2), ("asked", 3), ("asked", 4))
    assert owner_of_slot(99, ranges, asked=("asked", 9)) == Finding(("10.0.0.1", 1), nodes)
    assert owner_of_slot(100, ranges, asked=("asked", 9)) == Finding(("asked", 3), nodes)
    assert owner_of_slot(200, ranges, asked=("asked", 9)) is None
    assert owner_of_slot(0, [[0, 1, [b"?", 5, b"id"]]], asked=("asked", 9)) is None
