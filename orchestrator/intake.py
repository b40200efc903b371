"""Chat jobs that come as messages: from upstream systems on stock Dramatiq, or in another language."""

from collections.abc import Mapping
from typing import Any

import structlog
from pydantic import ValidationError

from ledger.accepting import Acceptance, AcceptanceRules, Refused, accept, problem_with_size
from ledger.refusals import refuse_job
from messaging.command_runner import AsyncCommandRunner
from messaging.delivery import Delivery
from messaging.envelopes import describe
from schemas.chat_job import ChatJob, ReplyAddress

_log = structlog.get_logger(__name__)


async def take_in(
    delivery: Delivery,
    message_id: str,
    job: Mapping[str, Any],
    *,
    runner: AsyncCommandRunner,
    rules: AcceptanceRules,
) -> None:
    """Takes the job of an `accept_job` message into the ledger, once however often the message is delivered.

    What cannot be accepted becomes a dead letter with its reason and, if it names a reply address, an answer.
    """
    refusal: Refused
    try:
        chat_job = ChatJob.model_validate(job)
    except ValidationError as error:
        refusal = Refused("invalid", describe(error))
    else:
        if (too_big := problem_with_size(chat_job, rules)) is None:
            acceptance = await _accept(delivery, message_id, chat_job, runner=runner, rules=rules)
            if not isinstance(acceptance, Refused):
                delivery.settled = True
                return
            too_big = acceptance
        refusal = too_big
    _log.warning("a job was refused", message=delivery.id, code=refusal.code, reason=refusal.reason)
    await runner.run(refuse_job(delivery, refusal, _reply_address(job)))
    delivery.settled = True


async def _accept(
    delivery: Delivery, message_id: str, job: ChatJob, *, runner: AsyncCommandRunner, rules: AcceptanceRules
) -> Acceptance:
    # Without a key of its own, the message's id is one: a producer that sends it again does not double the job.
    key = job.idempotency_key or f"message {message_id}"
    return await runner.run(accept(job, rules, idempotency_key=key, delivery=delivery))


def _reply_address(job: Mapping[str, Any]) -> ReplyAddress | None:
    """The reply address, even of a job that is wrong otherwise."""
    try:
        return ReplyAddress.model_validate(job.get("reply_to"))
    except (ValidationError, AttributeError):
        return None
