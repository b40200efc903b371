"""Restate: a job is a durable handler that calls the tools' service, which another process serves.

hypercorn benchmarks.peers.programs.restate_services:orchestrator
"""

from typing import Any

import restate

from benchmarks.peers.programs.model_calls import Message, async_model
from benchmarks.peers.programs.tool_calls import tool_message

_jobs = restate.Service("Jobs")
_tools = restate.Service("Tools")
_in_this_process: dict[str, Any] = {}


@_tools.handler()
async def perform(context: restate.Context, call: dict[str, Any]) -> Message:
    """Runs one tool."""
    return tool_message(call)


@_jobs.handler()
async def run_job(context: restate.Context, messages: list[Message]) -> str:
    """Calls the model and the tools that it asks for, until it answers."""
    while calls := (reply := await context.run_typed("ask", _ask, messages=messages)).get("tool_calls"):
        results = [context.service_call(perform, call) for call in calls]
        await restate.gather(*results)
        messages = [*messages, reply, *[await result for result in results]]
    answer: str = reply["content"]
    return answer


async def _ask(messages: list[Message]) -> Message:
    if not _in_this_process:  # made on the event loop that uses it
        _in_this_process["ask"] = async_model()
    reply: Message = await _in_this_process["ask"](messages)
    return reply


orchestrator = restate.app([_jobs])
tools = restate.app([_tools])
