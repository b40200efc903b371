"""Each limit ends a job, or refuses it, with a message that says which."""

from typing import Any

import pytest

from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import Line, Request, ask, call, say
from trunkline import JobRefused

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]

LOOK = call("look", text="x")


@pytest.mark.parametrize(
    ("lines", "limits", "code", "calls"),
    [
        ([ask(LOOK)], {"turns": 3}, "limit_turns", 2),
        ([ask(LOOK)], {}, "limit_turns", 15),
        ([ask(LOOK, LOOK, LOOK)], {"calls_per_turn": 2}, "limit_calls_per_turn", 0),
        ([ask(*[LOOK] * 200)], {}, "limit_calls_per_turn", 0),
        ([ask(LOOK, LOOK)], {"calls": 3}, "limit_calls", 2),
        ([ask(LOOK)], {"calls": 0}, "limit_calls", 0),
    ],
    ids=["turns", "turns by default", "calls per turn", "calls per turn by default", "calls", "no calls"],
)
async def test_a_limit_that_is_reached_ends_the_job_and_says_so(
    calm: Deployment, lines: list[Line], limits: dict[str, int], code: str, calls: int
) -> None:
    job = await calm.finish(model=calm.endpoint.script(*lines), limits=limits)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error.code == code
    assert f"limits.{code.removeprefix('limit_')}" in job.error.message
    assert len(calm.notes(job)) == calls == job.calls


async def test_two_hundred_calls_at_once_are_done_where_they_are_allowed(calm: Deployment) -> None:
    def summary(request: Request) -> Any:
        return say(str(sum(int(result) for result in request.results)))

    model = calm.endpoint.script(ask(*[call("count", numbers=[number]) for number in range(200)]), summary)
    job = await calm.completed(model=model, limits={"calls_per_turn": 200, "calls": 200})
    assert job.answer == str(sum(range(200)))
    assert len(calm.notes(job)) == 200


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"timeout_ms": 25 * 3600 * 1000}, "timeout_too_long", "timeout_ms: 90000000 is more"),
        ({"messages": [{"role": "user", "content": "x" * 2_000_001}]}, "too_large", "messages: 2,000,"),
        ({"conversation_id": "conv_a_" + "0" * 26}, "unknown_conversation", "conversation_id: there is no"),
        ({"limits": {"turns": 0}}, "invalid", "limits.turns: "),
        ({"reply_to": {"queue": "alpha", "actor": "perform_tool_call"}}, "invalid", "reply_to.queue: a reply queue"),
        ({"color": "red"}, "invalid", "color: "),
        ({"messages": [{"role": "tool", "tool_call_id": "a", "content": "b"}]}, "invalid", "messages.0.tool_call_id"),
    ],
)
async def test_a_job_that_does_not_fit_is_refused_at_the_door(
    calm: Deployment, fields: dict[str, Any], code: str, words: str
) -> None:
    before = len(await calm.client.list())
    with pytest.raises(JobRefused, match=words) as refusal:
        await calm.submit("go", **fields)
    assert refusal.value.code == code
    assert len(await calm.client.list()) == before
