"""Performing a call: claim it, send it through the policies, record its outcome. Two round trips to Redis."""

import time
from dataclasses import dataclass
from datetime import timedelta

import structlog
from structlog.contextvars import bound_contextvars

from ledger import call_steps
from ledger.call_steps import CallClaimed, CallPostponed
from messaging.command import Command
from messaging.command_runner import AsyncCommandRunner
from messaging.delivery import Delivery
from schemas.envelope import CallEnvelope
from schemas.trace_ids import attempt_span_id
from schemas.wire import call_id
from workers.attempt import Abandoned, Answered, Attempt, Ended, Proceed, TryLater, answered
from workers.registry import ToolRegistry

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CallPerformer:
    """Performs calls.

    Attributes:
        runner: Carries commands to the ledger.
        registry: The tools of this process.
        perform: The policies, around the run of the tool.
    """

    runner: AsyncCommandRunner
    registry: ToolRegistry
    perform: Proceed

    async def take(self, delivery: Delivery, envelope: CallEnvelope) -> timedelta | None:
        """Performs one call, or lets it be if it is not this delivery's to perform.

        Returns:
            When the call's message comes back, if it does.
        """
        job_id, turn, index = envelope.job_id, envelope.turn, envelope.index
        claim = await self.runner.run(
            call_steps.claim_call(delivery, delivery.facts(), job_id=job_id, turn=turn, index=index)
        )
        if not isinstance(claim, CallClaimed):
            delivery.settled = True
            return claim.delay if isinstance(claim, CallPostponed) else None
        step = call_id(job_id, turn, index)
        with bound_contextvars(
            job=job_id,
            turn=turn,
            call=step,
            tool=claim.tool,
            tenant=claim.caller.tenant,
            trace_id=claim.trace_id,
            span_id=attempt_span_id(step, claim.attempt),
        ):
            started = time.perf_counter()
            ended = await self._perform(delivery, envelope, claim)
            elapsed = timedelta(seconds=time.perf_counter() - started)
            await self.runner.run(self._record(delivery, envelope, claim, ended, elapsed))
        delivery.settled = True
        return ended.delay if isinstance(ended, TryLater) else None

    async def _perform(self, delivery: Delivery, envelope: CallEnvelope, claim: CallClaimed) -> Ended:
        tool = self.registry.get(claim.tool)
        if tool is None:
            _log.error("this worker lacks a tool of its pool", tool=claim.tool)
            have = ", ".join(sorted(tool.reference for tool in self.registry.for_pool(delivery.queue))) or "none"
            return answered("failed", f"The worker has no tool {claim.tool}; it has: {have}. It was not run.")
        return await self.perform(Attempt(envelope=envelope, claim=claim, tool=tool, delivery=delivery))

    def _record(
        self, delivery: Delivery, envelope: CallEnvelope, claim: CallClaimed, ended: Ended, elapsed: timedelta
    ) -> Command[bool]:
        job_id, turn, index = envelope.job_id, envelope.turn, envelope.index
        match ended:
            case Answered():
                return call_steps.record_outcome(
                    delivery,
                    job_id=job_id,
                    turn=turn,
                    index=index,
                    outcome=ended.outcome,
                    elapsed=elapsed,
                    attempt=claim.attempt,
                    cached=ended.cached,
                    result_bytes=ended.result_bytes,
                    stored_result=ended.stored_result,
                )
            case TryLater(delay=delay, error=error):
                _log.warning("a tool failed and is tried again", error=error, in_s=delay.total_seconds())
                return call_steps.retry_call(
                    delivery,
                    job_id=job_id,
                    turn=turn,
                    index=index,
                    attempt=claim.attempt,
                    delay=delay,
                    elapsed=elapsed,
                    error=error,
                )
            case Abandoned():
                # The job's end answered the call; this acknowledges its message, and counts nothing twice.
                cancelled = answered("cancelled", "The job has ended.").outcome
                return call_steps.record_outcome(delivery, job_id=job_id, turn=turn, index=index, outcome=cancelled)
