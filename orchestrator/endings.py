"""Deadlines, and dead letters that somebody waits for."""

from collections.abc import Mapping
from typing import Any

import structlog

from ledger import call_steps, job_end
from messaging.command_runner import AsyncCommandRunner
from schemas.call import Outcome
from schemas.job_result import JobError
from schemas.wire import parse_call_id, parse_turn_id

_log = structlog.get_logger(__name__)


async def answer_dead_letter(message_id: str, cause: Mapping[str, Any], *, runner: AsyncCommandRunner) -> None:
    """A message became a dead letter: whoever waits for its work is answered. Its id tells what it was for."""
    purpose, _, _ = message_id.partition("~")
    why = f"{cause.get('reason', 'unknown')}: {cause.get('error', '')}"[:500]
    if call := parse_call_id(purpose):
        job_id, turn, index = call
        outcome = Outcome(kind="failed", content=f"The call could not be processed ({why}). The tool was not run.")
        await runner.run(call_steps.record_outcome(None, job_id=job_id, turn=turn, index=index, outcome=outcome))
    elif step := parse_turn_id(purpose):
        job_id, turn = step
        error = JobError(code="undeliverable", message=f"the message of turn {turn} could not be processed: {why}")
        await runner.run(job_end.fail_turn(job_id, turn=turn, error=error))
    else:
        _log.warning("a dead letter that no job waits for", message=message_id, why=why)
