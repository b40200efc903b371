"""Writes the answer: what the calls gave, what failed and why, and what is still needed from the user.

Every answer ends with a line that says it was not written by a language model. This module must not decide what to
call.
"""

import re
from collections.abc import Sequence
from typing import Final, assert_never

from trunkline.offline_model.conversation import Conversation, PastCall, question_text
from trunkline.offline_model.formatting import MOST_RECORDS, field_text, record_text, result_lines, shortened, words_of
from trunkline.offline_model.json_values import Json
from trunkline.offline_model.offered import OfferedTool
from trunkline.offline_model.plan import MOST_ROUNDS, Lack, Plan
from trunkline.offline_model.results import Failed, Succeeded, records

#: The last line of every answer.
NOTICE: Final = "(Written by fixed rules, not by a language model.)"
_MOST_TOOLS: Final = 8
_WHO = re.compile(r"\b(?:who|what) are you\b|\bwhat can you do\b|\babout yourself\b|^\s*help\W*$", re.IGNORECASE)
_THANKS = re.compile(r"\s*(?:thanks|thank you|thx|great|perfect|bye|goodbye)\b", re.IGNORECASE)
_GREETING = re.compile(r"\s*(?:hi|hello|hey|good (?:morning|afternoon|evening))\b", re.IGNORECASE)


def write_answer(conversation: Conversation, plan: Plan | None, tools: Sequence[OfferedTool]) -> str:
    """The answer to the conversation's last request.

    Args:
        conversation: With all calls answered.
        plan: What is still lacking; None if no tool may be called.
        tools: What could be called, for saying so.
    """
    sign = _currency_sign(conversation.said)
    blocks = [_call_text(call, sign) for call in _told(conversation.calls)]
    if plan is not None:
        shown = [records(call.outcome.value) for call in conversation.calls if isinstance(call.outcome, Succeeded)]
        blocks += [_lack_text(lack, sign, listed=list(lack.choices) in shown) for lack in plan.lacks]
    if conversation.rounds >= MOST_ROUNDS:
        blocks.append(f"I stopped after {conversation.rounds} rounds of calls.")
    if not blocks:
        blocks = [_without_calls(conversation, tools, allowed=plan is not None)]
    return "\n".join([*blocks, "", NOTICE])


def _told(calls: Sequence[PastCall]) -> list[PastCall]:
    """The calls worth telling: a rejected one is not, if the same tool then accepted other arguments."""
    return [
        call
        for index, call in enumerate(calls)
        if not (
            isinstance(call.outcome, Failed)
            and call.outcome.kind == "rejected"
            and any(later.tool == call.tool and isinstance(later.outcome, Succeeded) for later in calls[index + 1 :])
        )
    ]


def _call_text(call: PastCall, sign: str) -> str:
    outcome = call.outcome
    match outcome:
        case Succeeded():
            head, *rest = result_lines(_without_echo(outcome.value, call.arguments), sign=sign)
            return "\n".join([f"{_title(call, sign)}: {head}", *rest])
        case Failed():
            return f"{_title(call, sign)}: {_failure_text(outcome)}"
        case _:
            assert_never(outcome)


def _without_echo(value: Json, arguments: dict[str, Json]) -> Json:
    """A result without the fields that only repeat what was asked."""
    if not isinstance(value, dict):
        return value
    told = {key: item for key, item in value.items() if key not in arguments or arguments[key] != item}
    return told or value


def _title(call: PastCall, sign: str) -> str:
    name = words_of(call.tool).capitalize()
    given = "; ".join(
        f"{words_of(key)} {shortened(field_text(key, value, sign=sign), 80)}" for key, value in call.arguments.items()
    )
    return f"{name} ({given})" if given else name


def _failure_text(failure: Failed) -> str:
    listed = "; ".join(f"`{problem.path}` {problem.reason}" for problem in failure.problems if problem.path)
    because = listed or shortened(failure.reason, 300)
    because = f": {because}" if because else ""
    match failure.kind:
        case "rejected":
            return f"its arguments were rejected{because}"
        case "denied":
            return f"this is not permitted{because}"
        case "failed":
            return f"this failed{because}"
        case "timed_out":
            return f"this did not finish in time{because}"
        case "cancelled":
            return f"this was cancelled{because}"
        case "unknown":
            return f"it is not known whether this took effect, and I have not repeated it{because}"
        case _:
            assert_never(failure.kind)


def _lack_text(lack: Lack, sign: str, *, listed: bool) -> str:
    """Asks for what is lacking; the records to choose from are listed unless they are above already."""
    question = question_text(lack.tool.name, lack.names)
    if not lack.choices:
        return question
    choices = [f"  {index}. {record_text(record, sign=sign)}" for index, record in enumerate(lack.choices, start=1)]
    return "\n".join([f"{question} Which of these is meant?", *([] if listed else choices[:MOST_RECORDS])])


def _without_calls(conversation: Conversation, tools: Sequence[OfferedTool], *, allowed: bool) -> str:
    """The answer where nothing was called and nothing is lacking."""
    if not tools or not allowed:
        why = "lets me call none of its tools" if tools else "offers no tool"
        return (
            "I am a rule-based stand-in for a language model: I call the tools that a request offers and write down"
            f" what they return. This request {why}, so there is nothing I can do with it."
        )
    if _THANKS.match(conversation.request):
        return "You are welcome."
    if _GREETING.match(conversation.request) or _WHO.search(conversation.request):
        lines = ["Hello. I am a rule-based stand-in for a language model. I can call:"]
    else:
        lines = ["None of the tools offered to me fits this request. I can call:"]
    for tool in tools[:_MOST_TOOLS]:
        names = ", ".join(p.name if p.required else f"{p.name}?" for p in tool.parameters)
        first = re.split(r"(?<=[.!?])\s|\n", tool.description.strip())[0]
        lines.append(f"  {tool.name}({names}){f': {shortened(first, 120)}' if first else ''}")
    if len(tools) > _MOST_TOOLS:
        lines.append(f"  … and {len(tools) - _MOST_TOOLS} more")
    return "\n".join(lines)


def _currency_sign(text: str) -> str:
    found = re.search(r"[$€£¥₹]", text)
    return found.group() if found else ""
