"""A chat job enters the ledger."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from messaging.command import Command, Word, text
from messaging.delivery import Delivery
from messaging.script import load_script
from schemas.chat_job import ChatJob, JobTerms
from schemas.conversation import Message
from schemas.trace_ids import trace_id_of
from schemas.wire import DEFAULT_CELL, new_conversation_id, new_job_id


@dataclass(frozen=True, slots=True)
class AcceptanceRules:
    """What a deployment allows, and how long it keeps things."""

    default_timeout: timedelta = timedelta(hours=1)
    longest_timeout: timedelta = timedelta(days=1)
    largest_job_bytes: int = 2_000_000
    """All messages of one job together, as JSON."""
    job_retention: timedelta = timedelta(days=1)
    """From a job's end until its keys expire."""
    conversation_retention: timedelta = timedelta(days=7)
    """From the end of a conversation's last job; never shorter than a job's own retention."""
    waiting_jobs: int = 100
    """How many jobs may wait for one conversation."""
    cell: str = DEFAULT_CELL


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job is in the ledger: from now on it is never lost."""

    job_id: str
    conversation_id: str
    was_known: bool = False
    """The same job had been accepted before, under the same idempotency key."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The job is not in the ledger."""

    code: str
    """`too_large`, `timeout_too_long`, `idempotency_conflict`, `unknown_conversation`, `conversation_busy`."""
    reason: str


@dataclass(frozen=True, slots=True)
class NoLongerOurs:
    """The message that the job came in was taken away; another delivery of it decides."""


Acceptance = Accepted | Refused | NoLongerOurs


def problem_with_size(job: ChatJob, rules: AcceptanceRules) -> Refused | None:
    """Why the deployment's limits refuse `job`, or None."""
    if job.timeout_ms is not None and timedelta(milliseconds=job.timeout_ms) > rules.longest_timeout:
        longest = round(rules.longest_timeout / timedelta(milliseconds=1))
        return Refused(
            "timeout_too_long", f"timeout_ms: {job.timeout_ms} is more than this deployment allows, {longest}"
        )
    size = sum(len(message) for message in encoded_messages(job.messages))
    if size > rules.largest_job_bytes:
        return Refused(
            "too_large",
            f"messages: {size:,} bytes of JSON are more than this deployment takes for one job, "
            f"{rules.largest_job_bytes:,}; shorten them, or raise TRUNKLINE_LARGEST_JOB_BYTES",
        )
    return None


def accept(
    job: ChatJob, rules: AcceptanceRules, *, idempotency_key: str | None, delivery: Delivery | None = None
) -> Command[Acceptance]:
    """Takes `job` into the ledger. Sending it again under one `idempotency_key` finds the first.

    Args:
        job: Within the limits: see `problem_with_size`.
        rules: What the deployment allows.
        idempotency_key: Its scope is the caller's tenant. None only where a repetition cannot happen.
        delivery: The `accept_job` message that it comes from, which is acknowledged in the same step.
    """
    terms = JobTerms.model_validate({name: getattr(job, name) for name in JobTerms.model_fields})
    tenant = job.caller.tenant
    job_id, conversation_id = new_job_id(rules.cell), job.conversation_id or new_conversation_id(rules.cell)
    conversation_retention = max(rules.conversation_retention, rules.job_retention)
    words: list[Word] = [
        *(delivery.fence if delivery else ("", "", "", "")),
        job_id,
        conversation_id,
        int(job.conversation_id is None),
        json.dumps(tenant),
        terms.model_dump_json(exclude_defaults=True),
        job.caller.model_dump_json(exclude_defaults=True),
        json.dumps(job.model),
        json.dumps(dict(job.metadata)),
        job.timeout_ms or _ms(rules.default_timeout),
        int(job.if_busy == "wait"),
        idempotency_digest(tenant, idempotency_key) if idempotency_key else "",
        body_digest(job),
        job.reply_to.queue if job.reply_to else "",
        job.reply_to.actor if job.reply_to else "",
        _ms(rules.job_retention),
        _ms(conversation_retention),
        rules.waiting_jobs,
        trace_id_of(job_id, job.traceparent),
        f"{job.priority[0]}:{tenant}",
        *encoded_messages(job.messages),
    ]

    def decode(answer: list[Any]) -> Acceptance:
        return _acceptance([text(word) for word in answer], job)

    return Command(load_script("ledger", "accept_job"), words, decode)


def _acceptance(answer: list[str], job: ChatJob) -> Acceptance:
    match answer:
        case ["accepted", job_id, conversation_id]:
            return Accepted(job_id, conversation_id)
        case ["known", job_id, *conversation]:
            return Accepted(job_id, conversation[0] if conversation else "", was_known=True)
        case ["conflict", first]:
            return Refused(
                "idempotency_conflict",
                f"idempotency_key: another job, {first}, was accepted under this key with different content; "
                "use a new key for a new job",
            )
        case ["no_conversation"]:
            return Refused(
                "unknown_conversation",
                f"conversation_id: there is no conversation {job.conversation_id} of tenant {job.caller.tenant!r}; "
                "it may have expired",
            )
        case ["busy", running]:
            return Refused(
                "conversation_busy",
                f"conversation_id: job {running} of this conversation has not ended; wait for it, or hand the job in "
                "with if_busy 'wait' (if it was, too many jobs wait already)",
            )
        case _:
            return NoLongerOurs()


def encoded_messages(messages: Sequence[Message]) -> list[bytes]:
    """The messages as the ledger keeps them: JSON in OpenAI's format, without what is absent."""
    return [message.model_dump_json(exclude_none=True).encode() for message in messages]


def idempotency_digest(tenant: str, key: str) -> str:
    """What an idempotency key is kept under: its scope is the tenant."""
    return hashlib.sha256(json.dumps([tenant, key]).encode()).hexdigest()


def body_digest(job: ChatJob) -> str:
    """What tells a job that is handed in again from another one under the same key; the same in every process."""
    body = job.model_dump(exclude={"idempotency_key", "traceparent"})
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=sorted).encode()).hexdigest()  # sets have no order


def _ms(duration: timedelta) -> int:
    return round(duration / timedelta(milliseconds=1))
