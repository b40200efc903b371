"""A turn: claim it, call the model, decide, record. One round trip to Redis before the model and one after."""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from ledger import job_end, turn_steps
from ledger.turn_steps import TurnClaimed
from messaging.command import Command
from messaging.command_runner import AsyncCommandRunner
from messaging.delivery import Delivery
from orchestrator import retry_policy
from orchestrator.catalogue_view import CatalogueView
from orchestrator.model_client import ModelAnswer, ModelClient, ModelError, ModelRequest, ModelUnavailable
from orchestrator.next_step import CallTools, Fail, Finish, Step, TryAgain, TurnSituation, next_step
from orchestrator.tool_offer import ToolOffer, offer_tools
from schemas.envelope import TurnEnvelope
from schemas.events import ModelFacts
from schemas.job_result import JobError
from schemas.trace_ids import attempt_span_id

_log = structlog.get_logger(__name__)

#: How long a turn waits in the schedule for a tool that nobody has published yet.
_MISSING_TOOL_PAUSE_MS = 1000
_MISSING_TOOL_SHORT_PAUSE_MS = 100


@dataclass(frozen=True, slots=True)
class TurnTaker:
    """Takes turns.

    Attributes:
        runner: Carries commands to the ledger.
        model: What is called.
        catalogue: What tools there are.
        default_model: For jobs that name no model.
        model_timeout: The longest that one model call may take.
        model_attempts: How often a turn's model call is tried.
    """

    runner: AsyncCommandRunner
    model: ModelClient
    catalogue: CatalogueView
    default_model: str
    model_timeout: timedelta
    model_attempts: int

    async def take(self, delivery: Delivery, envelope: TurnEnvelope) -> timedelta | None:
        """Takes one turn of one job, or lets it be if it is not this delivery's to take.

        Returns:
            When the turn's message comes back, if it does.
        """
        job_id, turn = envelope.job_id, envelope.turn
        with bound_contextvars(job=job_id, turn=turn):
            claim = await self.runner.run(turn_steps.claim_turn(delivery, delivery.facts(), job_id=job_id, turn=turn))
            if not isinstance(claim, TurnClaimed):
                delivery.settled = True
                return None
            with bound_contextvars(
                tenant=claim.terms.caller.tenant,
                trace_id=claim.trace_id,
                span_id=attempt_span_id(f"{job_id}/{turn}", claim.attempt),
            ):
                recording = await self._recording(delivery, envelope, claim)
                if recording is None:
                    return None  # the job was ended from outside; the worker acknowledges the message
                await self.runner.run(recording.command)
            delivery.settled = True
            return recording.comes_back_in

    async def _recording(self, delivery: Delivery, envelope: TurnEnvelope, claim: TurnClaimed) -> "_Recording | None":
        """How to record what follows; None if the job has ended meanwhile."""
        job_id, turn, claimed_ns = envelope.job_id, envelope.turn, time.perf_counter_ns()
        if claim.remaining_s <= 0:
            return _Recording(job_end.expire_job(delivery, job_id))
        offer = offer_tools(claim.terms.tools, await self.catalogue.tools())
        if offer.missing:
            # Perhaps it was published a moment ago.
            offer = offer_tools(claim.terms.tools, await self.catalogue.tools(fresh=True))
        if offer.missing:
            return self._without_tools(delivery, envelope, claim, offer)
        # By Redis's clock, as everything that is recorded: what it said at the claim, and what has passed since.
        started_us = claim.now_us + (time.perf_counter_ns() - claimed_ns) // 1000
        call = _ModelCall(self.model, self._request(claim, offer, turn), claim.attempt, started_us=started_us)
        outcome = await call.run(delivery, timeout_s=min(self.model_timeout.total_seconds(), claim.remaining_s))
        if outcome is None:
            return None
        if isinstance(outcome, ModelError):
            return self._after_error(delivery, envelope, claim, call.facts(error=outcome), outcome)
        situation = TurnSituation(
            job_id=job_id,
            turn=turn,
            calls_used=claim.calls_used,
            limits=claim.terms.limits,
            offer=offer,
            fail_without_worker=claim.terms.if_no_worker == "fail",
            known_call_ids=_known_ids(outcome, claim),
        )
        return self._record(delivery, envelope, claim, next_step(outcome, situation), call.facts(outcome), outcome)

    def _request(self, claim: TurnClaimed, offer: ToolOffer, turn: int) -> ModelRequest:
        parameters = claim.terms.model_parameters
        return ModelRequest(
            model=claim.terms.model or self.default_model,
            messages=claim.messages,
            tools=offer.tools,
            parameters=parameters,
            tool_choice=parameters.tool_choice if turn == 1 or parameters.tool_choice == "none" else None,
        )

    def _record(
        self,
        delivery: Delivery,
        envelope: TurnEnvelope,
        claim: TurnClaimed,
        step: Step,
        facts: ModelFacts,
        answer: ModelAnswer,
    ) -> "_Recording":
        job_id, turn = envelope.job_id, envelope.turn
        match step:
            case Finish(assistant_message=message, answer=text):
                command: Command[bool] = turn_steps.finish_job(
                    delivery,
                    job_id=job_id,
                    turn=turn,
                    state="completed",
                    assistant_message=message,
                    answer=text,
                    finish_reason=answer.finish_reason,
                    facts=facts,
                )
                return _Recording(command)
            case CallTools(assistant_message=message, calls=calls):
                command = turn_steps.fan_out(
                    delivery, job_id=job_id, turn=turn, assistant_message=message, facts=facts, calls=calls
                )
                return _Recording(command)
            case TryAgain(reason=reason):
                unusable = ModelUnavailable(reason)
                facts = facts.model_copy(update={"error_type": unusable.error_type})
                return self._after_error(delivery, envelope, claim, facts, unusable)
            case Fail(error=error):
                return _failure(delivery, envelope, error, facts)

    def _after_error(
        self, delivery: Delivery, envelope: TurnEnvelope, claim: TurnClaimed, facts: ModelFacts, error: ModelError
    ) -> "_Recording":
        job_id, turn = envelope.job_id, envelope.turn
        match retry_policy.decide(error, attempt=claim.attempt, max_attempts=self.model_attempts):
            case retry_policy.TryAfter(delay=delay):
                delay_ms = round(delay / timedelta(milliseconds=1))
                _log.warning("the model call failed and is tried again", error=str(error), in_ms=delay_ms)
                command = turn_steps.retry_turn(
                    delivery, job_id=job_id, turn=turn, delay_ms=delay_ms, facts=facts, error=str(error)
                )
                return _Recording(command, comes_back_in=delay)
            case retry_policy.GiveUp(why=why):
                _log.warning("the model call failed", error=why)
                code = "model_unavailable" if isinstance(error, ModelUnavailable) else "model_error"
                failure = JobError(code=code, message=why)
                return _failure(delivery, envelope, failure, facts, model_failed=str(error))

    def _without_tools(
        self, delivery: Delivery, envelope: TurnEnvelope, claim: TurnClaimed, offer: ToolOffer
    ) -> "_Recording":
        names = ", ".join(offer.missing)
        if claim.terms.if_no_worker == "wait":
            waited_ms = claim.now_us / 1000 - delivery.enqueued_us / 1000
            pause_ms = _MISSING_TOOL_SHORT_PAUSE_MS if waited_ms < 5000 else _MISSING_TOOL_PAUSE_MS
            _log.info("a turn waits for tools that no pool has published", tools=names)
            command = turn_steps.retry_turn(
                delivery, job_id=envelope.job_id, turn=envelope.turn, delay_ms=pause_ms, facts=None, error=""
            )
            return _Recording(command, comes_back_in=timedelta(milliseconds=pause_ms))
        message = f"no living pool has published the tools: {names}; start one with `trunkline worker --pool NAME`"
        return _failure(delivery, envelope, JobError(code="no_worker", message=message), facts=None)


@dataclass(frozen=True, slots=True)
class _Recording:
    """What is written down at the end of an attempt, and when its message comes back, if it does."""

    command: Command[Any]
    comes_back_in: timedelta | None = None


def _failure(
    delivery: Delivery,
    envelope: TurnEnvelope,
    error: JobError,
    facts: ModelFacts | None,
    *,
    model_failed: str | None = None,
) -> _Recording:
    command = turn_steps.finish_job(
        delivery,
        job_id=envelope.job_id,
        turn=envelope.turn,
        state="failed",
        error=error,
        facts=facts,
        model_failed=model_failed,
    )
    return _Recording(command)


class _ModelCall:
    """One call of the model, its cancellation and its facts."""

    def __init__(self, model: ModelClient, request: ModelRequest, attempt: int, *, started_us: int) -> None:
        self._model = model
        self._request = request
        self._attempt = attempt
        self._started_us = started_us
        self._started = time.perf_counter_ns()
        self._elapsed_us = 0

    async def run(self, delivery: Delivery, *, timeout_s: float) -> ModelAnswer | ModelError | None:
        """The answer or what went wrong; None if the job was ended from outside meanwhile."""
        completion = asyncio.ensure_future(self._complete(timeout_s))
        loop = asyncio.get_running_loop()
        delivery.on_cancel(lambda: loop.call_soon_threadsafe(completion.cancel))
        try:
            return await completion
        except asyncio.CancelledError:
            if delivery.cancelled:
                return None
            raise
        finally:
            completion.cancel()
            self._elapsed_us = (time.perf_counter_ns() - self._started) // 1000

    async def _complete(self, timeout_s: float) -> ModelAnswer | ModelError:
        try:
            # The client has its own time-outs per read and write; this one is for the whole.
            async with asyncio.timeout(timeout_s):
                return await self._model.complete(self._request, timeout_s=timeout_s)
        except TimeoutError:
            return ModelUnavailable(f"the model did not answer within {timeout_s:.3g} s", error_type="timeout")
        except ModelError as error:
            return error

    def facts(self, answer: ModelAnswer | None = None, *, error: ModelError | None = None) -> ModelFacts:
        """What is recorded of the call."""
        return ModelFacts(
            model=self._request.model,
            attempt=self._attempt,
            started_us=self._started_us,
            elapsed_us=self._elapsed_us,
            response_model=answer and answer.response_model,
            response_id=answer and answer.response_id,
            finish_reason=answer and answer.finish_reason,
            error_type=error and error.error_type,
            prompt_tokens=answer and answer.prompt_tokens,
            completion_tokens=answer and answer.completion_tokens,
            history=len(self._request.messages),
        )


def _known_ids(answer: ModelAnswer, claim: TurnClaimed) -> frozenset[str]:
    """Which of the new calls' ids occur in the conversation already. Where in it does not matter: a false alarm only
    gives a call a new id.
    """
    return frozenset(
        call.id for call in answer.calls if call.id and any(call.id in message for message in claim.messages)
    )
