"""Refusing a job that came as a message: a dead letter, and an answer to whoever waits."""

import json

from ledger.accepting import Refused
from messaging.command import Command
from messaging.delivery import Delivery
from messaging.queue_commands import DEAD_LETTER_TTL
from messaging.redaction import redact
from messaging.script import load_script
from schemas.chat_job import ReplyAddress


def refuse_job(delivery: Delivery, refusal: Refused, reply_to: ReplyAddress | None) -> Command[bool]:
    """Buries the message with its reason and sends the reason to `reply_to`, in one step."""
    error = {"code": refusal.code, "message": refusal.reason}
    words = (
        *delivery.fence,
        json.dumps({"reason": refusal.code, "error": redact(refusal.reason)}),
        reply_to.queue if reply_to else "",
        reply_to.actor if reply_to else "",
        json.dumps({"refused": {"message_id": delivery.message_id or delivery.id, "error": error}}),
        round(DEAD_LETTER_TTL.total_seconds() * 1000),
    )
    return Command(load_script("ledger", "refuse_job"), words, bool)
