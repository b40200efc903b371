"""Hands jobs in to ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from benchmarks.contenders.contender import SOCKET_TIMEOUT_S
from benchmarks.contenders.trunkline_contender import TrunklineJobClient
from benchmarks.peers.programs.answers_in_redis import redis_url
from ledger.settings import LedgerSettings
from messaging.settings import load_settings
from trunkline.client import Client


@contextmanager
def open_client() -> Iterator[TrunklineJobClient]:
    """Connects as an upstream system would."""
    settings = load_settings(LedgerSettings, redis_url=redis_url())
    with (
        Client(settings=settings) as client,
        redis.Redis.from_url(redis_url(), socket_timeout=SOCKET_TIMEOUT_S) as connection,
    ):
        yield TrunklineJobClient(client, connection, settings)
