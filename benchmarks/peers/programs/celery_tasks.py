"""Celery: a turn fans its calls out as a chord whose callback is the next turn."""

from typing import Any

from celery import Celery, chord

from benchmarks.peers.programs.answers_in_redis import Answers, redis_url
from benchmarks.peers.programs.model_calls import Message, model
from benchmarks.peers.programs.time_outs import GIVEN_UP_AFTER_S
from benchmarks.peers.programs.tool_calls import tool_message

app = Celery("fan4", broker=redis_url(), backend=redis_url())
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_routes={"take_turn": {"queue": "orchestrator"}, "perform": {"queue": "tools"}},
    broker_transport_options={"visibility_timeout": GIVEN_UP_AFTER_S},
    broker_connection_retry_on_startup=True,
)
_in_this_process: dict[str, Any] = {}


@app.task(name="take_turn", ignore_result=True)
def take_turn(results: list[Message], job_id: str, messages: list[Message]) -> None:
    """Calls the model with what has been said so far; sends its calls out, or ends the job."""
    if not _in_this_process:  # made after the fork: connections are not shared
        _in_this_process.update(ask=model(), answers=Answers())
    said = [*messages, *results]
    reply = _in_this_process["ask"](said)
    if calls := reply.get("tool_calls"):
        chord(perform.s(call) for call in calls)(take_turn.s(job_id, [*said, reply]))
    else:
        _in_this_process["answers"].push(job_id, reply)


@app.task(name="perform")
def perform(call: dict[str, Any]) -> Message:
    """Runs one tool."""
    return tool_message(call)
