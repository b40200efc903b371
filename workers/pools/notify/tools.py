"""The tools of the notify pool, which do something in the world: the example of an `unsafe` effect.

What an unsafe tool owes: it checks everything before it acts, it acts once and last, and it says `NotDone` only when it
is sure. Every other exception means that nobody knows. This module must not know SQL.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Final, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue, StringConstraints

from workers.context import ToolContext
from workers.errors import ArgumentsRejected, NotDone
from workers.pools.database import NothingChanged
from workers.pools.notify.outbox import Entry, Outbox, open_outbox
from workers.tool import tool

__all__ = ["MessageQueued", "ViewingQueued", "schedule_viewing", "send_message"]

_TIMEOUT: Final = timedelta(seconds=10)
_FURTHEST_AHEAD: Final = timedelta(days=365)
_LONGEST_SMS: Final = 1_600

_EMAIL_PATTERN: Final = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}$"
_TELEPHONE_PATTERN: Final = r"^\+[1-9][0-9]{6,14}$"

#: One line: what goes into a header must not be able to begin another.
_LINE: Final = r"^[^\x00-\x1f\x7f]*$"
Line = Annotated[str, StringConstraints(strip_whitespace=True, pattern=_LINE)]


class MessageQueued(BaseModel):
    """A message that waits in the outbox."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message_id: str
    channel: Literal["email", "sms"]
    recipient: str
    status: Literal["queued"] = "queued"


class ViewingQueued(BaseModel):
    """A viewing whose invitation waits in the outbox."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    viewing_id: str
    property_id: str
    starts_at: datetime
    ends_at: datetime
    visitor_email: str
    status: Literal["queued"] = "queued"


@tool(pool="notify", version="1.0.0", effect="unsafe", timeout=_TIMEOUT, permissions={"notify:schedule"})
def schedule_viewing(
    property_id: Annotated[Line, "Id of the property, as search_properties returns it", MinLen(1), MaxLen(100)],
    starts_at: Annotated[AwareDatetime, "Begin, ISO 8601 with UTC offset, such as '2027-03-14T15:30:00-05:00'"],
    visitor_name: Annotated[Line, "Full name of the visitor", MinLen(1), MaxLen(100)],
    visitor_email: Annotated[str, "Email address of the visitor", StringConstraints(pattern=_EMAIL_PATTERN)],
    duration_minutes: Annotated[int, "Length of the viewing in minutes", Ge(10), Le(240)] = 30,
    note: Annotated[str, "Anything the agent should know", MaxLen(1_000)] = "",
    *,
    context: ToolContext,
) -> ViewingQueued:
    """Schedule a viewing of a property; the visitor is invited by email. Do not repeat it for the same viewing."""
    now = datetime.now(UTC)
    if starts_at <= now:
        raise ArgumentsRejected([("starts_at", f"is in the past; it is {now.isoformat(timespec='seconds')} now")])
    if starts_at > now + _FURTHEST_AHEAD:
        raise ArgumentsRejected([("starts_at", f"is more than {_FURTHEST_AHEAD.days} days ahead")])
    ends_at = starts_at + timedelta(minutes=duration_minutes)
    viewing_id = _add(
        context,
        kind="viewing",
        channel="email",
        recipient=visitor_email,
        payload={
            "property_id": property_id,
            "starts_at": starts_at.isoformat(),
            "ends_at": ends_at.isoformat(),
            "visitor_name": visitor_name,
            "note": note,
        },
    )
    return ViewingQueued(
        viewing_id=viewing_id,
        property_id=property_id,
        starts_at=starts_at,
        ends_at=ends_at,
        visitor_email=visitor_email,
    )


@tool(pool="notify", version="1.0.0", effect="unsafe", timeout=_TIMEOUT, permissions={"notify:send"})
def send_message(
    channel: Annotated[Literal["email", "sms"], "How to send it"],
    recipient: Annotated[str, "Email address, or telephone number such as '+15125550100' for sms", MaxLen(254)],
    text: Annotated[str, "The message", MinLen(1), MaxLen(10_000)],
    subject: Annotated[Line | None, "Subject line; for email only", MaxLen(200)] = None,
    *,
    context: ToolContext,
) -> MessageQueued:
    """Send a message to a person by email or SMS. Do not repeat it for the same message."""
    problems = _problems_of_message(channel, recipient=recipient, text=text, subject=subject)
    if problems:
        raise ArgumentsRejected(problems)
    message_id = _add(
        context,
        kind="message",
        channel=channel,
        recipient=recipient,
        payload={"subject": subject, "text": text},
    )
    return MessageQueued(message_id=message_id, channel=channel, recipient=recipient)


def _problems_of_message(
    channel: Literal["email", "sms"], *, recipient: str, text: str, subject: str | None
) -> list[tuple[str, str]]:
    """What the schema cannot say, because it depends on the channel."""
    problems = []
    if channel == "email":
        if not re.fullmatch(_EMAIL_PATTERN, recipient):
            problems.append(("recipient", "is not an email address"))
    else:
        if not re.fullmatch(_TELEPHONE_PATTERN, recipient):
            problems.append(("recipient", "is not a telephone number with country code, such as '+15125550100'"))
        if len(text) > _LONGEST_SMS:
            problems.append(("text", f"has more than {_LONGEST_SMS} characters, the most of an SMS"))
        if subject is not None:
            problems.append(("subject", "is for email only"))
    return problems


def _add(
    context: ToolContext,
    *,
    kind: Literal["message", "viewing"],
    channel: Literal["email", "sms"],
    recipient: str,
    payload: Mapping[str, JsonValue],
) -> str:
    """The deed. A lost answer is not translated: then nobody knows, and the outcome of the call says so."""
    context.raise_if_cancelled()
    entry = Entry(
        kind=kind,
        channel=channel,
        recipient=recipient,
        payload=payload,
        tenant=context.caller.tenant,
        requested_by=context.caller.user,
        job_id=context.job_id,
        call_id=context.call_id,
    )
    try:
        return _outbox().add(entry)
    except NothingChanged as error:
        context.logger.error("outbox_not_available", error=str(error))
        raise NotDone("Nothing was sent: the outbox is not available at the moment.") from error


@cache
def _outbox() -> Outbox:
    return open_outbox()
