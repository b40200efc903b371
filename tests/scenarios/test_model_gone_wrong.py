"""Whatever a model's endpoint does wrong has a bounded answer: another try by the schedule, or the provider's words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
import pytest_asyncio

from schemas.events import ModelFailed
from schemas.job_result import JobResult
from tests.scenarios.conftest import Calm
from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import DROPPED, Reply, Request, ask, at_first, call, refuse, say, truncated
from tests.scenarios.waiting import all_of, wait_until

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]


def _completion(*, content: object, finish_reason: object = "stop", **fields: object) -> Reply:
    message = {"role": "assistant", "content": content}
    return Reply(json.dumps({"choices": [{"message": message, "finish_reason": finish_reason}], **fields}))


PASSING = {
    "full": refuse(429, "You are too fast", retry_after="0.2"),
    "failing": refuse(503, "The engine is overloaded"),
    "dropping": DROPPED,
    "cut off": truncated(say("x" * 1000)),
    "no JSON": Reply("<html>Bad gateway</html>"),
    "no completion": Reply('{"choices": []}'),
    "no words": say(None),
    "empty words": say(""),
}
WORDS = {
    "full": "HTTP 429: You are too fast",
    "failing": "HTTP 503: The engine is overloaded",
    "dropping": "cannot reach the model at http://127.0.0.1:",
    "no words": "neither text nor calls",
}
LASTING = {
    "a wrong key": (refuse(401, "Incorrect API key provided"), "HTTP 401: Incorrect API key provided"),
    "no such model": (refuse(404, "The model does not exist"), "The model does not exist"),
    "a bad request": (refuse(400, "This model's maximum context length is 8 tokens"), "maximum context length"),
    "no quota": (refuse(429, "You exceeded your quota", code="insufficient_quota"), "You exceeded your quota"),
    "a long wait": (refuse(429, "Come back tomorrow", retry_after="86400"), "Come back tomorrow"),
    "no tokens": (say(None, finish_reason="length"), "max_completion_tokens"),
    "a filter": (say(None, finish_reason="content_filter"), "content filter"),
}
#: Half of a surrogate pair, which no UTF-8 can hold.
_HALF = "\ud800"
#: What some endpoint has answered some day, in one turn, and what the job answers then.
ODD: Mapping[str, tuple[Sequence[Reply], str]] = {
    "half a character": ([say(f"ok{_HALF}")], "ok?"),
    "half a character in a call": ([ask(call("look", text=f"a{_HALF}", id=f"c{_HALF}")), say("ok")], "ok"),
    "half a character in a name": ([ask(call(f"lo{_HALF}", text="a")), say("ok")], "ok"),
    "a null character": ([ask(call("look", text="a\0b", id="\0")), say("o\0k")], "o\0k"),
    "parts": ([_completion(content=[{"type": "text", "text": "o"}, {"type": "text", "text": "k"}])], "ok"),
    "tokens that are no numbers": ([_completion(content="ok", usage={"prompt_tokens": "many"})], "ok"),
    "a list of tokens": ([_completion(content="ok", usage=[1])], "ok"),
    "tokens beyond measure": (
        [_completion(content="ok", usage={"prompt_tokens": -5, "completion_tokens": 10**30})],
        "ok",
    ),
    "a reason that is no text": ([_completion(content="ok", finish_reason={"a": 1})], "ok"),
    "an id that is a number": ([ask({**call("look", text="a"), "id": 5}), say("ok")], "ok"),
    "an id beyond measure": ([ask(call("look", text="a", id="x" * 100_000)), say("ok")], "ok"),
    "a tool that is a number": ([ask({"id": "a", "function": {"name": 7, "arguments": {}}}), say("ok")], "ok"),
    "no arguments": ([ask({"id": "a", "function": {"name": "look", "arguments": None}}), say("ok")], "ok"),
    "arguments that are no number": ([ask(call("nap", raw='{"seconds": Infinity}')), say("ok")], "ok"),
    "arguments beyond measure": ([ask(call("look", raw=json.dumps({"text": "x" * 3_000_000}))), say("ok")], "ok"),
    "an argument that comes twice": ([ask(call("look", raw='{"text": "a", "text": "b"}')), say("ok")], "ok"),
}


@dataclass(frozen=True)
class Story:
    """What became of a job."""

    result: JobResult
    requests: Sequence[Request]
    failed_attempts: Sequence[int]
    calls_run: int


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stories(calm_for_all: Calm) -> dict[str, Story]:
    """Two jobs for each mistake: one that it passes for, and one that it does not.

    They are on their way at once, since each waits for its next try.
    """
    calm = await calm_for_all.get()
    names = [f"{often}{name}" for name in PASSING for often in ("", "always ")]
    return dict(zip(names, await all_of(_story(calm, name) for name in names), strict=True))


async def _story(calm: Deployment, name: str) -> Story:
    reply = PASSING[name.removeprefix("always ")]
    lines = [ask(call("look", text="x")), say("fine")]
    model = calm.endpoint.script(*([reply] if name not in PASSING else [at_first(1, reply, line) for line in lines]))
    result = await calm.finish(model=model)
    events = [event async for event in calm.client.events(result.job_id)]
    failed = [event.facts.attempt for event in events if isinstance(event, ModelFailed)]
    return Story(result, calm.endpoint.requests(model), failed, len(calm.notes(result)))


@pytest.mark.parametrize("name", PASSING)
async def test_a_mistake_that_passes_is_tried_again_by_the_schedule(
    calm: Deployment, stories: dict[str, Story], name: str
) -> None:
    story = stories[name]
    assert (story.result.state, story.result.answer) == ("completed", "fine")
    assert (len(story.requests), story.calls_run) == (4, 1)
    assert story.failed_attempts == [1, 1]


@pytest.mark.parametrize("name", PASSING)
async def test_a_mistake_that_lasts_is_tried_a_few_times_and_then_told(
    calm: Deployment, stories: dict[str, Story], name: str
) -> None:
    story = stories[f"always {name}"]
    assert story.result.state == "failed"
    assert story.result.error is not None
    assert story.result.error.code == "model_unavailable"
    assert "(tried 3 times)" in story.result.error.message
    assert WORDS.get(name, "") in story.result.error.message
    assert len(story.requests) == 3
    waits = [later.at - earlier.at for earlier, later in pairwise(story.requests)]
    assert waits[0] >= 0.5
    assert waits[1] >= 1


@pytest.mark.parametrize("name", LASTING)
async def test_a_mistake_that_no_waiting_helps_against_ends_the_job_with_the_providers_words(
    calm: Deployment, name: str
) -> None:
    reply, words = LASTING[name]
    model = calm.endpoint.script(reply)
    result = await calm.finish(model=model)
    assert result.state == "failed"
    assert result.error is not None
    assert words in result.error.message
    assert len(calm.endpoint.requests(model)) == 1


async def test_the_endpoint_says_when_to_come_back_and_nothing_waits_in_a_slot(deployment: Deployment) -> None:
    await all_of(
        [deployment.run("orchestrator", turns_at_once=1), deployment.run("workers", pool="delta", calls_at_once=1)]
    )
    full = refuse(429, "You are too fast", retry_after="2")
    model = deployment.endpoint.script(at_first(1, full, say("at last")))
    job = await deployment.submit(model=model)
    await wait_until(lambda: len(deployment.endpoint.requests(model)) == 1, "the first try")
    await deployment.completed(model=deployment.endpoint.script(ask(call("quick")), say("quick")))
    assert len(deployment.endpoint.requests(model)) == 1  # the other job was done meanwhile
    assert (await deployment.result(job)).answer == "at last"
    first, second = deployment.endpoint.requests(model)
    assert 2 <= second.at - first.at < 3.5


async def test_a_model_that_does_not_answer_in_time_is_asked_again(deployment: Deployment) -> None:
    await deployment.run("orchestrator", model_timeout=0.3, model_attempts=2)
    late = deployment.endpoint.script(at_first(1, say("late").after(3), say("in time")))
    never = deployment.endpoint.script(say("late").after(3))
    in_time, unanswered = await all_of([deployment.finish(model=late), deployment.finish(model=never)])
    assert in_time.answer == "in time"
    assert "the model did not answer within 0.3 s (tried 2 times)" in unanswered.error.message


async def test_an_endpoint_that_is_not_there_is_named(deployment: Deployment) -> None:
    process = await deployment.run("orchestrator", model_attempts=1, openai_base_url="http://127.0.0.1:9/v1")
    result = await deployment.finish()
    assert result.error is not None
    assert "cannot reach the model at http://127.0.0.1:9/v1" in result.error.message
    assert process.alive


async def test_odd_answers_are_taken_for_what_they_can_mean(calm: Deployment) -> None:
    models = {name: calm.endpoint.script(*replies) for name, (replies, _) in ODD.items()}
    results = await all_of(calm.finish(model=model) for model in models.values())
    answers = {name: result.answer or result.error for name, result in zip(models, results, strict=True)}
    assert answers == {name: answer for name, (_, answer) in ODD.items()}


async def test_ids_that_are_empty_or_come_again_are_made_unique(calm: Deployment) -> None:
    look = call("look", text="x")
    model = calm.endpoint.script(
        ask(look, call("look", id="", text="y"), call("look", id="", text="z")),
        ask(look, call("look", id="call_0", text="y")),
        ask(look),
        say("done"),
    )
    job = await calm.completed(model=model)
    ids = [one.tool_call_id for one in await calm.calls(job)]
    assert len(ids) == len(set(ids)) == 6
    assert all(ids)
    sent = calm.endpoint.requests(model)[-1].messages
    assert [message["tool_call_id"] for message in sent if message["role"] == "tool"] == ids


async def test_text_beside_calls_and_a_refusal_are_kept(calm: Deployment) -> None:
    model = calm.endpoint.script(ask(call("look", text="x"), content="Let me look."), say("found"))
    job = await calm.completed(model=model)
    messages = await calm.client.conversation(job.conversation_id)
    assert messages[1]["content"] == "Let me look."


async def test_tool_choice_and_parameters_reach_the_endpoint_for_the_turns_they_are_meant_for(calm: Deployment) -> None:
    model = calm.endpoint.script(ask(call("look", text="x")), say("done"))
    parameters = {"temperature": 0.5, "tool_choice": "required", "seed": 7}
    await calm.completed(model=model, model_parameters=parameters, tools=["look", "c*"])
    first, second = calm.endpoint.requests(model)
    assert (first.body["temperature"], first.body["seed"], first.body["tool_choice"]) == (0.5, 7, "required")
    assert first.offered == ["count", "look"]
    assert "tool_choice" not in second.body
    assert first.headers["authorization"] == "Bearer sk-right"
