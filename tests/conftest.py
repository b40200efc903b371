"""Fixtures that every kind of test shares."""

from collections.abc import Iterator

import hypothesis
import pytest
import redis

from messaging.embedded.embedded_redis import EmbeddedRedis

# How long an example takes is the machine's affair.
hypothesis.settings.register_profile("trunkline", deadline=None)
hypothesis.settings.load_profile("trunkline")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A real Redis for the whole test session. Its file is written but not forced to the disk, which tests need not."""
    with EmbeddedRedis(tmp_path_factory.mktemp("redis"), fsync="no") as server:
        yield server


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The URL of the session's Redis, emptied: of keys, scripts and functions."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        client.script_flush()
        client.function_flush()
    return redis_server.url
