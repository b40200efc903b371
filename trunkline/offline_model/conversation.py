"""Reads the messages of a request: what is asked now, what was asked before, and which calls have been made.

This module must not interpret what the user wants.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from trunkline.offline_model.json_values import Json, parse
from trunkline.offline_model.request import Message
from trunkline.offline_model.results import Failed, Outcome, read_outcome

#: How this model asks for a value; what it wrote is read back in the next turn.
QUESTION_FORM: Final = "To call `{tool}` I need a value for {names}."
_QUESTION = re.compile(r"To call `(?P<tool>[^`]+)` I need a value for (?P<names>(?:`[^`]+`(?:, | and )?)+)\.")


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call this conversation has made, and what came of it."""

    tool: str
    arguments: dict[str, Json]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Question:
    """What this model asked for in its last answer."""

    tool: str
    names: tuple[str, ...]
    about: str
    """The request it was asked about."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The conversation, seen from its last user message."""

    request: str
    calls: tuple[PastCall, ...]
    """Since the request, in order."""
    rounds: int
    """How many times calls were made since the request."""
    earlier_calls: tuple[PastCall, ...]
    """Before the request, in order."""
    question: Question | None = None
    said: str = ""
    """All that the user has written."""


def read_conversation(messages: Sequence[Message]) -> Conversation:
    """Reads `messages`, which must be valid (see `request`)."""
    last = max((index for index, message in enumerate(messages) if message.role == "user"), default=-1)
    answers = {message.tool_call_id: message.text for message in messages if message.role == "tool"}
    request = messages[last].text if last >= 0 else ""
    since = messages[last + 1 :]
    return Conversation(
        request=request,
        calls=_calls(since, answers),
        rounds=sum(1 for message in since if message.tool_calls),
        earlier_calls=_calls(messages[: max(last, 0)], answers),
        question=_question(messages[: max(last, 0)]),
        said="\n".join(message.text for message in messages if message.role == "user"),
    )


def question_text(tool: str, names: Sequence[str]) -> str:
    """Asks for the values of `names`."""
    quoted = [f"`{name}`" for name in names]
    listed = f"{', '.join(quoted[:-1])} and {quoted[-1]}" if len(quoted) > 1 else quoted[0]
    return QUESTION_FORM.format(tool=tool, names=listed)


def _calls(messages: Sequence[Message], answers: dict[str | None, str]) -> tuple[PastCall, ...]:
    found: list[PastCall] = []
    for message in messages:
        for call in message.tool_calls or ():
            arguments = parse(call.function.arguments)
            known = arguments if isinstance(arguments, dict) else {}
            answer = answers.get(call.id)
            outcome = read_outcome(answer) if answer is not None else Failed("unknown", "no answer was given")
            found.append(PastCall(call.function.name, known, outcome))
    return tuple(found)


def _question(messages: Sequence[Message]) -> Question | None:
    """The question in the last assistant message, unless something else was asked in between."""
    if not messages or messages[-1].role != "assistant":
        return None
    match = _QUESTION.search(messages[-1].text)
    if match is None:
        return None
    about = next((message.text for message in reversed(messages) if message.role == "user"), "")
    return Question(match["tool"], tuple(re.findall(r"`([^`]+)`", match["names"])), about)
