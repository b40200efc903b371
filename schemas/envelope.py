"""What our own messages on queues carry: ids and the version they are written in. The rest is in the ledger.

A message is no authority: whoever can write to a pool's queue can at most have an open call of the ledger performed.
"""

from typing import Annotated, Any

from pydantic import Field

from schemas.wire import OLDEST_READABLE_VERSION, SCHEMA_VERSION, JobId, WireModel

Version = Annotated[int, Field(ge=OLDEST_READABLE_VERSION, le=SCHEMA_VERSION)]


class TurnEnvelope(WireModel):
    """The keyword arguments of `take_turn`."""

    schema_version: Version
    job_id: JobId
    turn: Annotated[int, Field(ge=1)]


class CallEnvelope(WireModel):
    """The keyword arguments of `perform_tool_call`."""

    schema_version: Version
    job_id: JobId
    turn: Annotated[int, Field(ge=1)]
    index: Annotated[int, Field(ge=0)]


class ExpiryEnvelope(WireModel):
    """The keyword arguments of `expire_job`."""

    schema_version: Version
    job_id: JobId


def version_of(kwargs: dict[str, Any]) -> int | None:
    """The schema version that a message claims, readable or not; None if it claims none."""
    version = kwargs.get("schema_version")
    return version if isinstance(version, int) and not isinstance(version, bool) else None
