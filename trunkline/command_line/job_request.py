"""The chat job that a command line asks for: a text, or a whole job as JSON, with what the options say on top."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from messaging.envelopes import describe
from schemas.chat_job import ChatJob
from trunkline.command_line.failures import BadInput
from trunkline.errors import JobRefused

__all__ = ["JobOptions", "job_from_file", "job_from_text"]

#: Whoever has a shell and the deployment's Redis could do anything anyway.
_EVERYTHING: Final = ("*",)


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What the options say; None or empty leaves it to the file, or to the defaults."""

    tools: Sequence[str] = ()
    model: str | None = None
    tenant: str | None = None
    permissions: Sequence[str] = ()
    conversation_id: str | None = None
    if_busy: str | None = None
    timeout: timedelta | None = None
    idempotency_key: str | None = None


def job_from_text(text: str, options: JobOptions) -> ChatJob:
    """The job of a user's text.

    Raises:
        JobRefused: It does not fit; the message names the field.
    """
    return _chat_job({"messages": [{"role": "user", "content": text}]}, options)


def job_from_file(name: str, options: JobOptions) -> ChatJob:
    """The job that a file holds as JSON; `-` is standard input.

    Raises:
        BadInput: It cannot be read, or is no JSON object.
        JobRefused: It does not fit; the message names the field.
    """
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        fields = json.loads(content)
    except OSError as error:
        raise BadInput("file", f"cannot read {name}: {error.strerror}") from None
    except ValueError as error:
        raise BadInput("file", f"{_called(name)} is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise BadInput("file", f"{_called(name)} is no chat job: it has to be a JSON object with `messages`")
    return _chat_job(fields, options)


def _chat_job(fields: Mapping[str, Any], options: JobOptions) -> ChatJob:
    given = {
        "tools": list(options.tools) or None,
        "model": options.model,
        "conversation_id": options.conversation_id,
        "if_busy": options.if_busy,
        "timeout_ms": None if options.timeout is None else round(options.timeout / timedelta(milliseconds=1)),
        "idempotency_key": options.idempotency_key,
    }
    fields = {**fields, **{name: value for name, value in given.items() if value is not None}}
    caller = fields.get("caller", {"permissions": list(_EVERYTHING)})
    if isinstance(caller, dict):  # else the schema says what is wrong
        said = {"tenant": options.tenant, "permissions": list(options.permissions) or None}
        caller = {**caller, **{name: value for name, value in said.items() if value is not None}}
    try:
        # As JSON, since only there a list may stand for a set, and text never for a number.
        return ChatJob.model_validate_json(json.dumps({**fields, "caller": caller}))
    except ValidationError as error:
        raise JobRefused("invalid", describe(error)) from None


def _called(name: str) -> str:
    return "standard input" if name == "-" else name
