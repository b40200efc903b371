"""Tests that run at the same time, each in a deployment of its own, since most of their time is waiting.

A module asks for it with the mark `together`; it is for those of its tests that need nothing but `deployment` and their
parameters. The first of them starts all that were selected, a few at once; each then waits for its own end, and fails
with its own error. They must not be strict about time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final

import pytest

from tests.scenarios.deployment import Deployment

_AT_ONCE: Final = 4

Test = Callable[..., Awaitable[None]]


class Together:
    """The tests of one module."""

    def __init__(self) -> None:
        self._tests: dict[str, tuple[Test, Mapping[str, Any]]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._numbers = count(1)
        self._places = asyncio.Semaphore(_AT_ONCE)

    def adopt(self, item: pytest.Function) -> None:
        """Replaces what a test does by waiting for what is started with the others, if it needs nothing else."""
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if not set(item._fixtureinfo.argnames) <= {"deployment", *parameters}:
            return
        self._tests[item.nodeid] = (item.obj, parameters)

        async def wait_for_it(deployment: Deployment, **_: Any) -> None:
            if not self._running:
                self._start(deployment, [other.nodeid for other in item.session.items])
            await self._running[item.nodeid]

        item.obj = wait_for_it

    def _start(self, like: Deployment, selected: Sequence[str]) -> None:
        for nodeid in selected:
            if nodeid in self._tests:
                self._running[nodeid] = asyncio.create_task(self._run(like, *self._tests[nodeid]))

    async def _run(self, like: Deployment, test: Test, parameters: Mapping[str, Any]) -> None:
        async with self._places:
            namespace = f"{like.namespace}.{next(self._numbers)}"
            deployment = Deployment(like.redis_url, like.endpoint, like.folder, namespace=namespace)
            async with deployment.for_a_test():
                await test(deployment=deployment, **parameters)


def bring_together(items: Sequence[pytest.Item]) -> None:
    """Adopts those tests that ask for it."""
    modules: dict[str, Together] = {}
    for item in items:
        if item.get_closest_marker("together") and isinstance(item, pytest.Function):
            modules.setdefault(item.nodeid.partition("::")[0], Together()).adopt(item)
