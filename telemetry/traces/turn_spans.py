"""The spans of one turn: the model call with its attempts, the fan-out, the calls, the gathering. Pure."""

from collections import Counter

from schemas.trace_ids import part_span_id
from schemas.wire import call_id
from telemetry import conventions as names
from telemetry.job_facts import Attempt, CallFacts, TurnFacts
from telemetry.traces.attempt_spans import add_attempts
from telemetry.traces.span import Attribute
from telemetry.traces.span_writer import SpanWriter

ORCHESTRATOR = "orchestrator"
#: What a tool is called that the catalogue does not have. Its name is the model's text, and may be anything.
UNKNOWN_TOOL = "unknown"


def add_turn(writer: SpanWriter, turn: TurnFacts, *, now_us: int) -> None:
    """Adds the spans of a turn; `now_us` ends what has not ended."""
    step = f"{writer.facts.job_id}/{turn.number}"
    attempts = add_attempts(writer, turn, step, queue=ORCHESTRATOR, parent_id=writer.root_id, until_us=now_us)
    for attempt, process_id in attempts:
        if attempt.model is not None:
            _add_chat(writer, attempt, step=step, process_id=process_id)
            if attempt.end == "done":
                _add_sends(writer, turn, attempt, step=step, process_id=process_id)
    for call in turn.calls:
        _add_call(writer, turn, call, now_us=now_us)
    if turn.calls and turn.answered_us is not None:
        writer.add(
            part_span_id(step, "gather"),
            names.GATHER,
            "internal",
            parent_id=writer.root_id,
            start_us=turn.answered_us,
            # A microsecond before the last call's span ends, so that the critical path goes through that one.
            until_us=(turn.gathered_us if turn.gathered_us is not None else now_us) - 1,
            attributes={names.TURN: turn.number, names.JOB_CALLS: len(turn.calls)},
        )


def _add_chat(writer: SpanWriter, attempt: Attempt, *, step: str, process_id: str) -> None:
    facts = attempt.model
    assert facts is not None
    attributes: dict[str, Attribute] = {
        names.OPERATION_NAME: names.CHAT,
        names.PROVIDER_NAME: names.PROVIDER_OPENAI,
        names.REQUEST_MODEL: facts.model,
        names.CONVERSATION_ID: writer.facts.record.conversation_id,
        names.ATTEMPT: facts.attempt,
    }
    if facts.finish_reason is not None:
        attributes[names.FINISH_REASONS] = (facts.finish_reason,)
    optional = {
        names.RESPONSE_MODEL: facts.response_model,
        names.RESPONSE_ID: facts.response_id,
        names.INPUT_TOKENS: facts.prompt_tokens,
        names.OUTPUT_TOKENS: facts.completion_tokens,
    }
    attributes |= {name: value for name, value in optional.items() if value is not None}
    if writer.content is not None:
        attributes |= writer.content.of_chat(facts.history, answered=attempt.end == "done")
    failed = attempt.end in ("retried", "failed")
    writer.add(
        part_span_id(step, f"chat#{attempt.number}"),
        f"{names.CHAT} {facts.model}",
        "client",
        parent_id=process_id,
        start_us=facts.started_us,
        until_us=min(facts.started_us + facts.elapsed_us, attempt.ended_us or facts.started_us),
        attributes=attributes,
        error_type=(attempt.error_type or "_OTHER") if failed else None,
    )


def _add_sends(writer: SpanWriter, turn: TurnFacts, attempt: Attempt, *, step: str, process_id: str) -> None:
    """A span for each pool that the fan-out sent to: from the model's answer to its record."""
    assert attempt.model is not None
    assert attempt.ended_us is not None
    sent = Counter(call.pool for call in turn.calls if call.pool is not None)
    for pool, messages in sorted(sent.items()):
        writer.add(
            part_span_id(step, f"send {pool}"),
            f"{names.SEND} {pool}",
            "client",
            parent_id=process_id,
            start_us=min(attempt.model.started_us + attempt.model.elapsed_us, attempt.ended_us - 1),
            until_us=attempt.ended_us,
            attributes={
                names.MESSAGING_SYSTEM: names.REDIS,
                names.MESSAGING_OPERATION_NAME: names.SEND,
                names.MESSAGING_OPERATION_TYPE: names.SEND,
                names.DESTINATION: pool,
                names.BATCH_MESSAGE_COUNT: messages,
            },
        )


def _add_call(writer: SpanWriter, turn: TurnFacts, call: CallFacts, *, now_us: int) -> None:
    step = call_id(writer.facts.job_id, turn.number, call.index)
    span_id = part_span_id(step, "call")
    tool = call.tool if call.version is not None else UNKNOWN_TOOL
    ended_us = call.ended_us if call.ended_us is not None else now_us
    writer.add(
        span_id,
        f"{names.EXECUTE_TOOL} {tool}",
        "internal",
        parent_id=writer.root_id,
        start_us=call.sent_us,
        until_us=ended_us,
        attributes=_call_attributes(call, step, tool) | _call_content(writer, turn, call),
        error_type=None if call.outcome in (None, "succeeded") else call.outcome,
    )
    if call.pool is not None:  # else it was refused before it was sent
        add_attempts(writer, call, step, queue=call.pool, parent_id=span_id, until_us=ended_us)


def _call_content(writer: SpanWriter, turn: TurnFacts, call: CallFacts) -> dict[str, Attribute]:
    if writer.content is None:
        return {}
    result = writer.content.results.get((turn.number, call.index))
    attributes: dict[str, Attribute] = {names.TOOL_CALL_ARGUMENTS: call.arguments}
    if result is not None:
        attributes[names.TOOL_CALL_RESULT] = result
    return attributes


def _call_attributes(call: CallFacts, step: str, tool: str) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {
        names.OPERATION_NAME: names.EXECUTE_TOOL,
        names.TOOL_NAME: tool,
        names.TOOL_TYPE: names.FUNCTION,
        names.CALL_ID: step,
    }
    optional = {
        names.TOOL_CALL_ID: call.tool_call_id or None,
        names.TOOL_VERSION: call.version,
        names.POOL: call.pool,
        names.CALL_OUTCOME: call.outcome,
        names.RESULT_SIZE: call.result_bytes,
    }
    attributes |= {name: value for name, value in optional.items() if value is not None}
    if call.cached:
        attributes[names.CALL_CACHED] = True
    return attributes
