"""What follows from what the model said."""

import json
from typing import Any

import pytest

from ledger.turn_steps import OpenCall, RefusedCall
from orchestrator.model_client import ModelAnswer, ModelCall
from orchestrator.next_step import CallTools, Fail, Finish, TryAgain, TurnSituation, next_step
from orchestrator.tool_offer import ToolOffer
from schemas.chat_job import JobLimits
from schemas.conversation import AssistantMessage
from schemas.tool import ToolSpecification
from schemas.wire import new_job_id


def specification(name: str, pool: str = "weather") -> ToolSpecification:
    return ToolSpecification(
        name=name,
        version="1.0.0",
        description="A tool.",
        parameters={"type": "object"},
        pool=pool,
        effect="read",
        timeout_ms=1000,
    )


WEATHER = specification("weather")


def situation(**changes: Any) -> TurnSituation:
    defaults: dict[str, Any] = {
        "job_id": new_job_id(),
        "turn": 1,
        "calls_used": 0,
        "limits": JobLimits(),
        "offer": ToolOffer(tools=[WEATHER]),
    }
    return TurnSituation(**{**defaults, **changes})


def asking(*calls: tuple[str, str, str]) -> ModelAnswer:
    return ModelAnswer(calls=[ModelCall(*call) for call in calls], finish_reason="tool_calls")


def calls_of(answer: ModelAnswer, **changes: Any) -> CallTools:
    step = next_step(answer, situation(**changes))
    assert isinstance(step, CallTools)
    AssistantMessage.model_validate_json(step.assistant_message)
    return step


def refused(answer: ModelAnswer, **changes: Any) -> RefusedCall:
    call = calls_of(answer, **changes).calls[0]
    assert isinstance(call, RefusedCall)
    return call


def test_an_answer_in_words_finishes_the_job() -> None:
    step = next_step(ModelAnswer(content="It rains.", finish_reason="stop"), situation())
    assert step == Finish(assistant_message='{"role": "assistant", "content": "It rains."}', answer="It rains.")


def test_a_refusal_of_the_model_is_its_answer() -> None:
    step = next_step(ModelAnswer(refusal="I will not."), situation())
    assert isinstance(step, Finish)
    assert step.answer == "I will not."
    assert json.loads(step.assistant_message) == {"role": "assistant", "refusal": "I will not."}


def test_calls_are_sent_as_the_model_wrote_them() -> None:
    step = calls_of(asking(("a", "weather", '{"city":"Oslo"}'), ("b", "weather", "{}")))
    assert step.calls == [
        OpenCall(tool=WEATHER, tool_call_id="a", arguments='{"city":"Oslo"}'),
        OpenCall(tool=WEATHER, tool_call_id="b", arguments="{}"),
    ]


def test_an_answer_with_nothing_in_it_is_asked_for_again() -> None:
    assert isinstance(next_step(ModelAnswer(finish_reason="stop"), situation()), TryAgain)


def test_an_answer_cut_off_before_its_first_word_fails_and_names_the_parameter() -> None:
    step = next_step(ModelAnswer(finish_reason="length"), situation())
    assert isinstance(step, Fail)
    assert "max_completion_tokens" in step.error.message


def test_an_answer_withheld_by_a_filter_fails() -> None:
    assert isinstance(next_step(ModelAnswer(finish_reason="content_filter"), situation()), Fail)


def test_an_unknown_tool_is_rejected_with_the_names_of_the_known_ones() -> None:
    call = refused(asking(("a", "whether", "{}")))
    assert call.outcome.kind == "rejected"
    assert "'whether'" in call.outcome.content
    assert "weather" in call.outcome.content


@pytest.mark.parametrize("arguments", ["{city: Oslo", "[1]", '"Oslo"', "null", "7", "", "[" * 100_000])
def test_arguments_that_are_no_object_are_rejected_and_not_sent_back_to_the_endpoint(arguments: str) -> None:
    step = calls_of(asking(("a", "weather", arguments)))
    call = step.calls[0]
    assert isinstance(call, RefusedCall)
    assert call.outcome.kind == "rejected"
    assert json.loads(step.assistant_message)["tool_calls"][0]["function"]["arguments"] == "{}"


def test_empty_and_repeated_ids_are_made_unique() -> None:
    answer = asking(("", "weather", "{}"), ("call_0", "weather", "{}"), ("call_0", "weather", "{}"))
    step = calls_of(answer, known_call_ids=frozenset())
    ids = [call.tool_call_id for call in step.calls]
    assert len(set(ids)) == 3
    assert all(ids)
    assert ids[1] == "call_0"
    assert [call["id"] for call in json.loads(step.assistant_message)["tool_calls"]] == ids


def test_an_id_of_an_earlier_turn_is_replaced() -> None:
    step = calls_of(asking(("call_0", "weather", "{}")), known_call_ids=frozenset({"call_0"}))
    assert step.calls[0].tool_call_id != "call_0"


@pytest.mark.parametrize(
    ("limits", "changes", "asked", "code"),
    [
        (JobLimits(turns=3), {"turn": 3}, 1, "limit_turns"),
        (JobLimits(calls_per_turn=2), {}, 3, "limit_calls_per_turn"),
        (JobLimits(calls=10), {"calls_used": 9}, 2, "limit_calls"),
    ],
)
def test_reaching_a_limit_ends_the_job_and_says_which(
    limits: JobLimits, changes: dict[str, Any], asked: int, code: str
) -> None:
    answer = asking(*((str(i), "weather", "{}") for i in range(asked)))
    step = next_step(answer, situation(limits=limits, **changes))
    assert isinstance(step, Fail)
    assert step.error.code == code
    assert code.removeprefix("limit_") in step.error.message


def test_a_limit_is_not_reached_by_using_it_up() -> None:
    answer = asking(("a", "weather", "{}"), ("b", "weather", "{}"))
    calls_of(answer, limits=JobLimits(turns=2, calls_per_turn=2, calls=2))


def test_an_answer_in_the_last_turn_finishes() -> None:
    step = next_step(ModelAnswer(content="done"), situation(turn=3, limits=JobLimits(turns=3)))
    assert isinstance(step, Finish)


def test_a_tool_without_a_worker_is_waited_for_unless_the_job_says_otherwise() -> None:
    offer = ToolOffer(tools=[WEATHER], without_worker=frozenset({"weather@1.0.0"}))
    answer = asking(("a", "weather", "{}"))
    assert isinstance(calls_of(answer, offer=offer).calls[0], OpenCall)
    call = refused(answer, offer=offer, fail_without_worker=True)
    assert call.outcome.kind == "failed"
    assert "'weather'" in call.outcome.content


def test_half_a_surrogate_pair_in_an_answer_does_no_harm() -> None:
    step = next_step(ModelAnswer(content="broken \ud800"), situation())
    assert isinstance(step, Finish)
    step.assistant_message.encode()
