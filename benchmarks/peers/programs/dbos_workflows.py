"""DBOS: a job is a workflow that enqueues each call, a workflow too, on the queue of another process.

python -m benchmarks.peers.programs.dbos_workflows orchestrator
"""

import os
import sys
import threading
from typing import Any, Final

from dbos import DBOS, DBOSConfig

from benchmarks.peers.programs.model_calls import Message, model
from benchmarks.peers.programs.tool_calls import tool_message

DATABASE_URL: Final = "PEER_DATABASE_URL"
LOOKS_EVERY_S: Final = 0.01
"""For work and for results; the default of both is a second."""
THREADS: Final = {"orchestrator": 32, "tools": 8}

_in_this_process: dict[str, Any] = {}


@DBOS.step()
def ask(messages: list[Message]) -> Message:
    """Calls the model with what has been said so far."""
    reply: Message = _in_this_process["ask"](messages)
    return reply


@DBOS.workflow()
def run_job(messages: list[Message]) -> str:
    """Calls the model and enqueues what it asks for, until it answers."""
    while calls := (reply := ask(messages)).get("tool_calls"):
        handles = [DBOS.enqueue_workflow("tools", perform, call) for call in calls]
        results = [handle.get_result(polling_interval_sec=LOOKS_EVERY_S) for handle in handles]
        messages = [*messages, reply, *results]
    answer: str = reply["content"]
    return answer


@DBOS.workflow()
def perform(call: dict[str, Any]) -> Message:
    """Runs one tool."""
    return tool_message(call)


def main(queue: str) -> None:
    """Serves one queue until it is told to stop."""
    if queue == "orchestrator":
        _in_this_process["ask"] = model()
    config = DBOSConfig(
        name="fan4",
        system_database_url=os.environ[DATABASE_URL],
        application_version="1",
        executor_id=queue,
        log_level="WARNING",
        sys_db_pool_size=THREADS[queue],
    )
    DBOS(config=config)
    DBOS.listen_queues([queue])
    DBOS.launch()
    DBOS.register_queue(queue, worker_concurrency=THREADS[queue], polling_interval_sec=LOOKS_EVERY_S)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1])
