"""The connections of a process to its deployment's Redis."""

from datetime import timedelta
from typing import Final

import redis
import redis.asyncio

from messaging.redis_access.clients import ClientOptions, build_async_client, build_client
from messaging.settings import DeploymentSettings, resolve_redis_url

#: The longest that any command of ours blocks in Redis: somebody who follows a job.
LONGEST_BLOCK: Final = timedelta(seconds=10)
_BLOCKING_CONNECTIONS: Final = 64
_ASYNC_CONNECTIONS: Final = 256


def blocking_client(settings: DeploymentSettings) -> redis.Redis:
    """A client for threads."""
    return build_client(resolve_redis_url(settings), _options(settings, _BLOCKING_CONNECTIONS))


def async_client(settings: DeploymentSettings) -> redis.asyncio.Redis:
    """A client for one event loop."""
    return build_async_client(resolve_redis_url(settings), _options(settings, _ASYNC_CONNECTIONS))


def _options(settings: DeploymentSettings, max_connections: int) -> ClientOptions:
    return ClientOptions(longest_block=LONGEST_BLOCK, max_connections=max_connections, hash_tag=settings.namespace)
