"""Becomes the `__init__.py` of Dramatiq's tests: puts our broker in the place of theirs, in each process.

Their modules take `RedisBroker` from Dramatiq, and connect to port 6379 of this machine. Here that class is ours, and
that port is our Redis's. It knows nothing of what the tests do with either.
"""

import os
import socket
from typing import Any

import dramatiq.brokers.redis
from dramatiq.middleware import Middleware, default_middleware

from messaging.broker import TrunklineBroker

THEIR_PORT = 6379
OUR_PORT = int(os.environ["TRUNKLINE_SUITE_REDIS_PORT"])

_getaddrinfo = socket.getaddrinfo


def _find_our_redis(host: Any, port: Any, *arguments: Any, **keywords: Any) -> Any:
    return _getaddrinfo(host, OUR_PORT if port == THEIR_PORT else port, *arguments, **keywords)


class BrokerUnderTest(TrunklineBroker):
    """Ours, with the defaults of Dramatiq's: its middleware, and its keys without braces."""

    def __init__(self, *, middleware: list[Middleware] | None = None, **options: Any) -> None:
        if middleware is None:
            middleware = [stock() for stock in default_middleware]
        super().__init__(namespace="dramatiq", hash_tag=False, middleware=middleware, **options)


socket.getaddrinfo = _find_our_redis
setattr(dramatiq.brokers.redis, "RedisBroker", BrokerUnderTest)  # noqa: B010 - an assignment would be a type error
