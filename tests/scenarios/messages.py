"""Messages as upstream systems, and as vandals, put them into queues with plain Redis commands."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from tests.scenarios.deployment import Deployment


def message(
    queue: str, actor: str, kwargs: Mapping[str, Any], *, id: str | None = None, **fields: Any
) -> dict[str, Any]:
    """A message in Dramatiq's form, as the documentation has it."""
    id = id or str(uuid.uuid4())
    return {
        "queue_name": queue,
        "actor_name": actor,
        "args": [],
        "kwargs": kwargs,
        "options": {"redis_message_id": id},
        "message_id": id,
        "message_timestamp": 1_700_000_000_000,
        **fields,
    }


def push(deployment: Deployment, queue: str, body: Mapping[str, Any] | bytes, *, id: str | None = None) -> str:
    """Puts a body into a queue with the two commands that this takes, as one; answers its id in Redis."""
    id = id or str(uuid.uuid4())
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    with deployment.redis.pipeline() as both:
        both.hset(f"{deployment.prefix}:{queue}.msgs", id, text)
        both.rpush(f"{deployment.prefix}:{queue}", id)
        both.execute()
    return id


def waiting(deployment: Deployment, queue: str) -> list[str]:
    """The ids that wait in a queue, in order."""
    ids: Any = deployment.redis.lrange(f"{deployment.prefix}:{queue}", 0, -1)
    return [id.decode() for id in ids]


def dead_letters(deployment: Deployment, queue: str) -> dict[str, dict[str, Any]]:
    """The causes of a queue's dead letters by id."""
    causes: Any = deployment.redis.hgetall(f"{deployment.prefix}:{queue}.XQ.causes")
    return {id.decode(): json.loads(cause) for id, cause in causes.items()}


def take_replies(deployment: Deployment, queue: str) -> list[dict[str, Any]]:
    """Takes all messages out of a reply queue."""
    deployment.replies_are_read = True
    replies = []
    bodies = f"{deployment.prefix}:{queue}.msgs"
    while id := waiting(deployment, queue)[:1]:
        deployment.redis.lpop(f"{deployment.prefix}:{queue}")
        body: Any = deployment.redis.hget(bodies, id[0])
        deployment.redis.hdel(bodies, id[0])
        replies.append(json.loads(body))
    return replies
