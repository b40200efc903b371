"""The upstream system of the chaos: hands every order in until it is accepted, reads the answers, and keeps count.

Its count owes nothing to the ledger: what was attempted, what was accepted, and what was answered, how often.
"""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any, Final

import redis

from messaging.errors import OperatorError
from tests.chaos.orders import Order
from tests.scenarios.deployment import Deployment
from tests.scenarios.messages import message, push
from trunkline import AsyncClient, JobUnknown

ANSWERS: Final = "reply.chaos"
_AGAIN_S: Final = 0.2
_AT_ONCE: Final = 1000
_TIMEOUT: Final = timedelta(minutes=30)


@dataclass
class Count:
    """What an upstream system knows."""

    attempted: set[int] = field(default_factory=set)
    accepted: dict[int, set[str]] = field(default_factory=dict)
    """Job ids by order: all that any submit of the order has returned."""
    answers: Counter[int] = field(default_factory=Counter)
    """How many answers came, by order."""
    answered: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Job id and terminal state, by order."""
    repeated_submits: int = 0
    """How often a submit was tried again, since Redis was away."""

    @property
    def open(self) -> set[int]:
        """The orders that wait for their answer."""
        return self.attempted - self.answered.keys()


class Upstream:
    """Hands orders in.

    Args:
        deployment: Where messages are pushed and answers read, past every proxy.
        client: Hands jobs in, through the proxy.
        model: The name of the model.
    """

    def __init__(self, deployment: Deployment, client: AsyncClient, *, model: str) -> None:
        self._deployment = deployment
        self._client = client
        self._model = model
        self._ids = count(1)
        self._uncertain: set[str] = set()
        self.count = Count()

    async def hand_in(self, order: Order) -> None:
        """Hands one order in, and perhaps cancels it."""
        self.count.attempted.add(order.number)
        twice = 2 if order.handed_in in ("twice", "by message, twice") else 1
        if order.handed_in in ("once", "twice"):
            await asyncio.gather(*(self._submit(order) for _ in range(twice)))
        else:
            for _ in range(twice):
                await self._push(order)
        if order.cancelled_after_s is not None and (ids := self.count.accepted.get(order.number)):
            await asyncio.sleep(order.cancelled_after_s)
            await self._cancel(min(ids))

    async def _submit(self, order: Order) -> None:
        while True:
            try:
                accepted = await self._client.submit(order.text, **self._fields(order))
            except OperatorError:  # Redis is away; a good upstream tries again, with the same key
                self.count.repeated_submits += 1
                await asyncio.sleep(_AGAIN_S)
            else:
                self.count.accepted.setdefault(order.number, set()).add(accepted.job_id)
                return

    async def _push(self, order: Order) -> None:
        job = {"messages": [{"role": "user", "content": order.text}], **self._fields(order)}
        while True:
            id = f"upstream-{next(self._ids)}"
            try:
                push(self._deployment, "intake", message("intake", "accept_job", {"job": job}, id=id), id=id)
            except redis.RedisError:
                self.count.repeated_submits += 1
                await asyncio.sleep(_AGAIN_S)
            else:
                return

    async def _cancel(self, job_id: str) -> None:
        while True:
            try:
                await self._client.cancel(job_id)
            except OperatorError:
                await asyncio.sleep(_AGAIN_S)
            except JobUnknown:  # lost: the ledger shows it
                return
            else:
                return

    def _fields(self, order: Order) -> dict[str, Any]:
        return {
            "model": self._model,
            "idempotency_key": f"order {order.number}",
            "metadata": {"order": str(order.number)},
            "reply_to": {"queue": ANSWERS, "actor": "on_answer"},
            "timeout_ms": order.timeout_ms or round(_TIMEOUT.total_seconds() * 1000),
        }

    def read_answers(self) -> None:
        """Counts the answers that are there, and takes them away."""
        client, key = self._deployment.redis, f"{self._deployment.prefix}:{ANSWERS}"
        waiting: Any = client.lrange(key, 0, _AT_ONCE - 1)
        ids = [id.decode() for id in waiting]
        if not ids:
            return
        bodies: Any = client.hmget(f"{key}.msgs", ids)
        for id, body in zip(ids, bodies, strict=True):
            if id not in self._uncertain:
                result = json.loads(body)["kwargs"]["result"]
                number = int(result["metadata"]["order"])
                self.count.answers[number] += 1
                self.count.answered[number] = (result["job_id"], result["state"])
        self._uncertain |= set(ids)  # until they are known to be gone: Redis may die in the next line
        with client.pipeline() as both:
            both.ltrim(key, len(ids), -1)
            both.hdel(f"{key}.msgs", *ids)
            both.execute()
        self._uncertain -= set(ids)
