"""Dramatiq: a turn fans its calls out as a group whose completion callback is the next turn."""

import os
from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.message import Message as DramatiqMessage
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend as RateLimiterBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend as ResultBackend

from benchmarks.peers.programs.answers_in_redis import Answers, redis_url
from benchmarks.peers.programs.model_calls import Message, model
from benchmarks.peers.programs.time_outs import GIVEN_UP_AFTER_S
from benchmarks.peers.programs.tool_calls import tool_message

broker = RedisBroker(url=redis_url(), heartbeat_timeout=GIVEN_UP_AFTER_S * 1000)
# Hooks after a message run in the opposite order: its result is stored before its group is told.
broker.add_middleware(GroupCallbacks(RateLimiterBackend(client=redis.Redis.from_url(redis_url()))))
_results = ResultBackend(client=redis.Redis.from_url(redis_url()))
broker.add_middleware(Results(backend=_results))
dramatiq.set_broker(broker)
_ask = model() if "OPENAI_BASE_URL" in os.environ else None
_answers = Answers()


@dramatiq.actor(queue_name="orchestrator")
def take_turn(job_id: str, messages: list[Message], sent: list[str]) -> None:
    """Calls the model with what has been said so far; sends its calls out, or ends the job."""
    assert _ask is not None
    results = [DramatiqMessage.decode(message.encode()).get_result(backend=_results) for message in sent]
    said = [*messages, *results]
    reply = _ask(said)
    if calls := reply.get("tool_calls"):
        group = dramatiq.group([perform.message(call) for call in calls])
        members = [member.encode().decode() for member in group.children]
        group.add_completion_callback(take_turn.message(job_id, [*said, reply], members))
        group.run()
    else:
        _answers.push(job_id, reply)


@dramatiq.actor(queue_name="tools", store_results=True)
def perform(call: dict[str, Any]) -> Message:
    """Runs one tool."""
    return tool_message(call)
