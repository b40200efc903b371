"""Reads what tools answered: a value, or a failure with its kind and the fields it is about.

Platforms spell failures in many ways; the common ones are understood, JSON or plain text. This module must not know
which tool answered.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from trunkline.offline_model.json_values import Json, parse
from trunkline.offline_model.words import word_set

FailureKind = Literal["rejected", "denied", "failed", "timed_out", "cancelled", "unknown"]


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What a tool had against one argument; `path` is dotted."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A tool's result."""

    value: Json


@dataclass(frozen=True, slots=True)
class Failed:
    """Why there is no result."""

    kind: FailureKind
    reason: str
    problems: tuple[FieldProblem, ...] = ()


Outcome: TypeAlias = Succeeded | Failed

_KINDS: Final[dict[str, FailureKind]] = {
    "rejected": "rejected", "invalid": "rejected", "invalid_arguments": "rejected", "validation_error": "rejected",
    "validation": "rejected", "bad_request": "rejected", "denied": "denied", "forbidden": "denied",
    "permission_denied": "denied", "not_permitted": "denied", "unauthorized": "denied", "failed": "failed",
    "failure": "failed", "error": "failed", "exception": "failed", "timed_out": "timed_out", "timeout": "timed_out",
    "timed out": "timed_out", "deadline_exceeded": "timed_out", "cancelled": "cancelled", "canceled": "cancelled",
    "expired": "cancelled", "unknown": "unknown",
}  # fmt: skip
_STATUS_KEYS: Final = ("outcome", "status", "kind", "type", "code", "state")
_REASON_KEYS: Final = ("message", "reason", "detail", "error", "msg", "description", "title")
_PROBLEM_KEYS: Final = ("problems", "fields", "errors", "details", "violations", "issues", "field_errors")
_PATH_KEYS: Final = ("path", "field", "loc", "name", "parameter", "argument", "param")
#: A `status` counts as the outcome of the call only next to nothing but such keys: an order, too, may be cancelled.
_ENVELOPE: Final = word_set(
    "outcome status error errors message reason detail details code type kind fields problems tool tool_call_id call_id"
    " retryable hint ok success title violations issues field_errors result value state attempt description msg"
)
#: Failures told in words, the most telling first: what may have happened all the same, then why nothing did.
_SAYINGS: Final[tuple[tuple[FailureKind, re.Pattern[str]], ...]] = (
    ("unknown", re.compile(r"its effect is not known|effect has most likely happened|^\W*unknown\b\W", re.I)),
    ("rejected", re.compile(r"^\W*(?:rejected|invalid arguments?|validation error)\b", re.I)),
    ("rejected", re.compile(r"^the arguments (?:do not fit|are no|of )|^there is no tool ", re.I)),
    (
        "denied",
        re.compile(r"^\W*(?:denied|permission denied|forbidden)\b|missing permission|^the caller may not ", re.I),
    ),
    ("timed_out", re.compile(r"^\W*(?:timed[ _]out|timeout)\b|did not finish within|deadline of the job passed", re.I)),
    ("cancelled", re.compile(r"^\W*cancell?ed\b|^the job (?:was cancelled|has ended)", re.I)),
    ("failed", re.compile(r"^\W*(?:error|failed|failure|traceback|exception)\b\W*(?:$|:|\n)", re.I)),
    ("failed", re.compile(r"^[\w.]*(?:Error|Exception)\b(?::|$)")),
    (
        "failed",
        re.compile(r"^the (?:tool|worker|pool) .*(?:failed|not run|no tool|cannot be given|stopped)", re.I),
    ),
)
_LABEL = re.compile(
    r"^\W*(?:error|exception|rejected|denied|failed|timed[ _]out|timeout|cancell?ed|permission denied"
    r"|invalid arguments?|validation error|unknown|the arguments do not fit)\b[\s:.\-]*(?=\S)",
    re.IGNORECASE,
)
_PLAIN_PROBLEM = re.compile(r"(?:^|[\n;])\W*(?P<path>[A-Za-z_][\w.\[\]]*): (?P<reason>[^\n;]+)")
_UNWRAPPED: Final = ("result", "value", "data", "output", "content", "preview")


def read_outcome(content: str) -> Outcome:
    """What the content of a tool message says."""
    value = parse(content)
    if isinstance(value, dict):
        return _of_object(value)
    if isinstance(value, str):
        return _of_text(value)
    return Succeeded(value)


def records(value: Json) -> list[dict[str, Json]]:
    """The list of records in a result: the result itself, or the longest list of objects directly inside it."""
    if isinstance(value, list):
        return [item for item in value if isinstance(item, dict)]
    if not isinstance(value, dict):
        return []
    lists = [records(item) for item in value.values() if isinstance(item, list)]
    return max(lists, key=len, default=[]) or [value]


def scalar(value: Json) -> Json:
    """The one value a result consists of, if it does: itself, or an object's `result`, `value`, `total` …"""
    if isinstance(value, dict):
        for key in ("result", "value", "answer", "total", "sum", "output", "text", "content"):
            if isinstance(value.get(key), str | int | float):
                return value[key]
        plain = [item for item in value.values() if isinstance(item, str | int | float)]
        return plain[0] if len(plain) == 1 else None
    if isinstance(value, list):
        return scalar(value[0]) if len(value) == 1 else None
    return value


def _of_object(value: dict[str, Json]) -> Outcome:
    kind = _kind_of(value)
    if kind is None:
        for key in _UNWRAPPED:
            if key in value and set(value) <= _ENVELOPE | {key}:
                return Succeeded(value[key])
        return Succeeded(value)
    inner = value.get("error")
    where = inner if isinstance(inner, dict) else value
    problems = tuple(_problems(where)) or tuple(_problems(value))
    reason = _reason(where) or _reason(value)
    if problems and kind == "failed":
        kind = "rejected"
    if kind == "rejected" and not problems:
        problems = _plain_problems(reason)
    return Failed(kind, reason, problems)


def _of_text(text: str) -> Outcome:
    head = text[:2000]
    kind = next((kind for kind, pattern in _SAYINGS if pattern.search(head)), None)
    if kind is None:
        return Succeeded(text)
    reason = _LABEL.sub("", text, count=1).strip()
    return Failed(kind, reason, _plain_problems(reason) if kind == "rejected" else ())


def _kind_of(value: Mapping[str, Json]) -> FailureKind | None:
    """The kind of failure an object reports; None if it is a result."""
    outcome = value.get("outcome")
    if isinstance(outcome, str):
        return _KINDS.get(outcome.lower())
    error = value.get("error")
    if error:
        status = value.get("status")
        named = _named_kind(error) if isinstance(error, dict) else None
        named = named or (_KINDS.get(status.lower()) if isinstance(status, str) else None)
        return named or _KINDS.get(str(error).lower(), "failed")
    closed = set(value) <= _ENVELOPE
    if closed and (value.get("ok") is False or value.get("success") is False):
        return _named_kind(value) or "failed"
    if closed and isinstance(value.get("errors"), list) and value["errors"]:
        return "rejected"
    status = value.get("status")
    if closed and isinstance(status, str) and any(key in value for key in (*_REASON_KEYS, *_PROBLEM_KEYS)):
        return _KINDS.get(status.lower())
    return None


def _named_kind(value: Mapping[str, Json]) -> FailureKind | None:
    for key in _STATUS_KEYS:
        named = value.get(key)
        if isinstance(named, str) and named.lower() in _KINDS:
            return _KINDS[named.lower()]
    return None


def _reason(value: Mapping[str, Json]) -> str:
    for key in _REASON_KEYS:
        text = value.get(key)
        if isinstance(text, str) and text:
            return text
    return ""


def _problems(value: Mapping[str, Json]) -> Iterator[FieldProblem]:
    for key in _PROBLEM_KEYS:
        listed = value.get(key)
        if isinstance(listed, dict):
            yield from (FieldProblem(path, str(reason)) for path, reason in listed.items())
        for item in listed if isinstance(listed, list) else ():
            if isinstance(item, dict):
                path = next((item[name] for name in _PATH_KEYS if item.get(name)), "")
                yield FieldProblem(_dotted(path), _reason(item))
            elif isinstance(item, str):
                yield from _plain_problems(item)


def _dotted(path: Json) -> str:
    if isinstance(path, list):
        return ".".join(str(part) for part in path)
    text = str(path).replace("/", ".").replace("$", "").strip(".")
    return re.sub(r"^(?:arguments|args|input|parameters|body)\.", "", text)


def _plain_problems(reason: str) -> tuple[FieldProblem, ...]:
    found = (FieldProblem(_dotted(m["path"]), m["reason"].strip()) for m in _PLAIN_PROBLEM.finditer(reason))
    return tuple(found)
