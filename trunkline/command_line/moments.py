"""Durations and times as people type them."""

from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from messaging.duration import Duration
from trunkline.command_line.failures import BadInput

__all__ = ["read_duration", "read_moment"]

_DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)


def read_duration(text: str, *, option: str) -> timedelta:
    """A duration such as `90`, `5m` or `1h30m`.

    Raises:
        BadInput: It is none; the message names the option.
    """
    try:
        duration = _DURATION.validate_python(text)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        raise BadInput("usage", f"{option}: {details['msg']}, got {text!r}; {details['ctx']['hint']}") from None
    if duration <= timedelta(0):
        raise BadInput("usage", f"{option}: use more than nothing, got {text!r}")
    return duration


def read_moment(text: str, *, option: str, now: datetime) -> datetime:
    """A time in ISO 8601, or how long ago. Without an offset it is local time.

    Raises:
        BadInput: It is neither; the message names the option.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return moment.astimezone(UTC)
    try:
        return now - read_duration(text, option=option)
    except (BadInput, OverflowError):
        raise BadInput(
            "usage", f"{option}: use how long ago, such as 1h, or a time such as 2027-03-14T15:30, got {text!r}"
        ) from None
