"""taskiq: a job is one coroutine that kicks its calls to another pool and gathers their results."""

import asyncio
from typing import Any, Final

from taskiq import TaskiqEvents, TaskiqState, gather
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks.peers.programs.answers_in_redis import AsyncAnswers, redis_url
from benchmarks.peers.programs.model_calls import Message, async_model
from benchmarks.peers.programs.time_outs import GIVEN_UP_AFTER_S
from benchmarks.peers.programs.tool_calls import tool_message

_LOOKS_EVERY_S: Final = 0.01
"""For a result; taskiq's default is a tenth of a second."""
_KEEPS_RESULTS_S: Final = 3600


def _broker(queue: str) -> RedisStreamBroker:
    broker = RedisStreamBroker(
        redis_url(),
        queue_name=queue,
        consumer_group_name=queue,
        idle_timeout=GIVEN_UP_AFTER_S * 1000,
        unacknowledged_lock_timeout=GIVEN_UP_AFTER_S,
        # Else a process that was halted finds its reads timed out, and its listener does not come back from that.
        socket_timeout=None,
    )
    results = RedisAsyncResultBackend[Any](redis_url(), result_ex_time=_KEEPS_RESULTS_S, socket_timeout=None)
    broker.with_result_backend(results).with_serializer(ORJSONSerializer())
    return broker


orchestrator = _broker("orchestrator")
tools = _broker("tools")


@orchestrator.on_event(TaskiqEvents.WORKER_STARTUP)
async def _open(state: TaskiqState) -> None:
    state.ask, state.answers = async_model(), AsyncAnswers()
    await tools.startup()


@orchestrator.task(task_name="run_job")
async def run_job(job_id: str, messages: list[Message]) -> None:
    """Calls the model and kicks what it asks for, until it answers."""
    state: Any = orchestrator.state
    while calls := (reply := await state.ask(messages)).get("tool_calls"):
        kicked = await asyncio.gather(*(perform.kiq(call) for call in calls))
        results = await gather(*kicked, periodicity=_LOOKS_EVERY_S)
        messages = [*messages, reply, *(result.return_value for result in results)]
    await state.answers.push(job_id, reply)


@tools.task(task_name="perform")
async def perform(call: dict[str, Any]) -> Message:
    """Runs one tool."""
    return tool_message(call)
