"""What people write by hand: a turn, its calls, their results counted down in Redis, the next turn. Stock Dramatiq.

    dramatiq benchmarks.contenders.bare_actors --queues orchestrator

Nothing here survives a crash in the wrong place, is fenced, limited or recorded; that is the point of the comparison.
"""

import json
import os
from typing import Any, cast

import dramatiq
import openai
import redis
from dramatiq.brokers.redis import RedisBroker

from benchmarks.conversation import MODEL, TOOLS, look_up

#: Where the answers go, and how the client and the actors call what they share.
DONE = "done"
KEEP_S = 86_400

_url = os.environ["BARE_REDIS_URL"]
_calls_with_create = os.environ["BARE_MODEL_CALL"] == "create"
dramatiq.set_broker(RedisBroker(url=_url))  # type: ignore[no-untyped-call]  # Dramatiq has no types here
_state = redis.Redis.from_url(_url, decode_responses=True)
_model = openai.OpenAI(max_retries=0)


@dramatiq.actor(queue_name="orchestrator")
def take_turn(job_id: str, turn: int) -> None:
    """Calls the model with what has been said so far; sends its calls out, or ends the job."""
    pipeline = _state.pipeline(transaction=False)
    pipeline.lrange(f"job:{job_id}:messages", 0, -1)
    pipeline.hgetall(f"job:{job_id}:results")
    said, results = pipeline.execute()
    messages = [json.loads(message) for message in said]
    tool_messages = []
    if turn > 1:
        tool_messages = [
            {"role": "tool", "tool_call_id": call["id"], "content": results[call["id"]]}
            for call in messages[-1]["tool_calls"]
        ]
    reply = _ask(messages + tool_messages)
    pipeline = _state.pipeline()
    pipeline.rpush(f"job:{job_id}:messages", *map(json.dumps, [*tool_messages, reply]))
    calls = reply.get("tool_calls")
    if calls:
        pipeline.set(f"job:{job_id}:open", len(calls))
        pipeline.execute()
        for call in calls:
            perform.send(job_id, turn, call["id"], call["function"]["name"], call["function"]["arguments"])
    else:
        for key in ("messages", "results", "open"):
            pipeline.expire(f"job:{job_id}:{key}", KEEP_S)
        pipeline.rpush(DONE, json.dumps({"job_id": job_id, "answer": reply["content"]}))
        pipeline.execute()


@dramatiq.actor(queue_name="tools")
def perform(job_id: str, turn: int, call_id: str, name: str, arguments: str) -> None:
    """Runs one tool; whoever is last sends the next turn."""
    result = _FUNCTIONS[name](**json.loads(arguments))
    pipeline = _state.pipeline()
    pipeline.hset(f"job:{job_id}:results", call_id, result)
    pipeline.decr(f"job:{job_id}:open")
    if pipeline.execute()[1] == 0:
        take_turn.send(job_id, turn + 1)


_FUNCTIONS = {"look_up": look_up}


def _ask(messages: list[dict[str, Any]]) -> dict[str, Any]:
    if _calls_with_create:
        completion = _model.chat.completions.create(
            model=MODEL, messages=cast("Any", messages), tools=cast("Any", TOOLS)
        )
        return completion.choices[0].message.model_dump(exclude_none=True)
    body = {"model": MODEL, "messages": messages, "tools": TOOLS}
    answer: Any = _model.post("/chat/completions", body=body, cast_to=object)
    message: dict[str, Any] = answer["choices"][0]["message"]
    return message
