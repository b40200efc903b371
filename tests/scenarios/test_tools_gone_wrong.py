"""Whatever a tool does wrong is an outcome that the model can read, and the worker goes on."""

import time
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import ask, call, say
from tests.scenarios.waiting import all_of

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]

KINDS = [
    ("error", "failed", "ValueError: it broke"),
    ("not_done", "failed", "the shop is closed"),
    ("failed", "failed", "there is no such house"),
    ("rejected", "rejected", "until: must be after from"),
    ("timeout", "failed", "the shop did not answer"),
    ("exit", "failed", "SystemExit"),
    ("interrupt", "failed", "KeyboardInterrupt"),
    ("cancelled", "failed", ""),
    ("base", "failed", "rude"),
]


@pytest.mark.parametrize(("kind", "outcome", "words"), KINDS, ids=[kind for kind, _, _ in KINDS])
@pytest.mark.parametrize("tool", ["stumble", "stumble_thread"])
async def test_what_a_tool_raises_is_its_outcome(
    calm: Deployment, tool: str, kind: str, outcome: str, words: str
) -> None:
    job = await calm.completed(model=calm.endpoint.script(ask(call(tool, kind=kind)), say("so be it")))
    [(ended, content)] = await calm.outcomes(job)
    assert (ended, len(calm.notes(job))) == (outcome, 1)
    assert words in content
    assert "verysecret" not in content
    assert "Traceback" not in content


async def test_only_an_unsafe_tool_that_says_so_has_done_nothing(calm: Deployment) -> None:
    kinds = [kind for kind, _, _ in KINDS]
    model = calm.endpoint.script(ask(*[call("stumble_unsafe", kind=kind) for kind in kinds]), say("so be it"))
    job = await calm.completed(model=model)
    outcomes = dict(zip(kinds, [kind for kind, _ in await calm.outcomes(job)], strict=True))
    known = {kind: outcomes.pop(kind) for kind in ("not_done", "rejected")}
    assert known == {"not_done": "failed", "rejected": "rejected"}
    assert set(outcomes.values()) == {"unknown"}
    assert len(calm.notes(job)) == len(kinds)


async def test_a_tool_that_hangs_is_not_waited_for(calm: Deployment) -> None:
    model = calm.endpoint.script(ask(call("hang"), call("hang_thread"), call("hang_unsafe")), say("so be it"))
    started = time.monotonic()
    job = await calm.completed(model=model)
    assert time.monotonic() - started < 4
    outcomes = await calm.outcomes(job)
    assert [kind for kind, _ in outcomes] == ["timed_out", "timed_out", "unknown"]
    assert all("0.4 s" in content for _, content in outcomes)
    await calm.noted("cancelled", times=3)


RESULTS: list[tuple[dict[str, Any], str, str]] = [
    (call("strange"), "failed", "no JSON form"),
    (call("text_of", size=10_000_000), "failed", "10,000,000 bytes"),
    (call("text_of", size="many"), "rejected", "size: "),
    (call("count", numbers=[1, -2]), "rejected", "numbers[1]: "),
    (call("count", numbers=[1], color="red"), "rejected", "color: "),
    (call("look", raw='{"text": "a"'), "rejected", "not a JSON object"),
    (call("look", raw='["a"]'), "rejected", "an array"),
    (call("look", raw="[" * 100_000), "rejected", "nested too deeply"),
    (call("look", raw=""), "rejected", "text: "),
    (call("unheard_of"), "rejected", "There is no tool 'unheard_of'. The tools are: "),
    (call(""), "rejected", "There is no tool ''"),
    (call("secret"), "denied", "scenario:secrets"),
]


@pytest.mark.parametrize(("asked", "outcome", "words"), RESULTS)
async def test_what_cannot_be_called_or_given_is_explained_to_the_model(
    calm: Deployment, asked: dict[str, Any], outcome: str, words: str
) -> None:
    model = calm.endpoint.script(ask(asked), say("so be it"))
    job = await calm.completed(model=model)
    [(kind, content)] = await calm.outcomes(job)
    assert kind == outcome
    assert words in content
    assert calm.endpoint.requests(model)[-1].results == [content]
    assert calm.notes(job) == []


async def test_a_permission_opens_a_tool(calm: Deployment) -> None:
    model = calm.endpoint.script(ask(call("secret")), say("thanks"))
    job = await calm.completed(model=model, caller={"permissions": ["scenario:*"]})
    assert await calm.outcomes(job) == [("succeeded", "the secret")]


async def test_of_a_large_result_the_model_sees_the_beginning_and_people_the_whole(calm: Deployment) -> None:
    model = calm.endpoint.script(ask(call("text_of", size=100_000), call("text_of", size=32_768)), say("much"))
    job = await calm.completed(model=model)
    (_, preview), (_, whole) = await calm.outcomes(job)
    assert preview.startswith("x" * 32_768 + "\n[Cut: ")
    assert whole == "x" * 32_768
    assert [one.stored_bytes for one in await calm.calls(job)] == [100_000, 0]
    stored: Any = calm.redis.get(f"{calm.prefix}:job:{job.job_id}:result:1/0")
    assert len(stored) == 100_000


async def test_a_tool_is_tried_again_with_the_same_key_as_its_policy_says(calm: Deployment) -> None:
    job = await calm.completed(model=calm.endpoint.script(ask(call("third_time")), say("done")))
    notes = calm.notes(job)
    assert await calm.outcomes(job) == [("succeeded", "at last")]
    assert [note.attempt for note in notes] == [1, 2, 3]
    assert len({note.key for note in notes}) == 1
    assert all(later.at - earlier.at >= 0.15 for earlier, later in pairwise(notes))


async def test_a_retry_waits_in_the_schedule_and_not_in_a_slot(deployment: Deployment) -> None:
    await all_of([deployment.run("orchestrator"), deployment.run("workers", pool="delta", calls_at_once=1)])
    stubborn = deployment.endpoint.script(ask(call("third_time")), say("done"))
    quick = deployment.endpoint.script(ask(call("quick")), say("quick"))
    first = await deployment.submit(model=stubborn)
    await deployment.noted("begin", first)
    second = await deployment.completed(model=quick)
    assert len(deployment.notes(first)) < 3  # the quick one was done while the other waited
    assert (await deployment.result(first)).answer == "done"
    assert [note.what for note in deployment.notes(second)] == ["done"]


async def test_what_a_tool_may_still_take_is_what_its_job_has_left(calm: Deployment) -> None:
    started = time.monotonic()
    job = await calm.finish(model=calm.endpoint.script(ask(call("nap", seconds=15))), timeout_ms=700)
    assert job.state == "expired"
    assert timedelta(seconds=time.monotonic() - started) < timedelta(seconds=3)
