"""What a deployment is for: jobs with calls in several pools, turns that build on each other, conversations."""

import asyncio

import pytest

from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import Reply, Request, ask, call, say
from tests.scenarios.waiting import all_of, wait_until
from trunkline import JobRefused

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]


async def test_calls_of_one_turn_run_in_the_processes_of_their_pools_at_the_same_time(calm: Deployment) -> None:
    meeting = [call(f"meet_{pool}", place="market", parties=6) for pool in ("alpha", "beta", "gamma")] * 2
    model = calm.endpoint.script(ask(*meeting), say("all have met"))
    job = await calm.completed(model=model)
    pids = [int(content) for _, content in await calm.outcomes(job)]
    assert job.answer == "all have met"
    assert pids[:3] == pids[3:]
    assert len(set(pids)) == 3
    assert set(pids) <= {process.pid for process in calm.processes}


async def test_a_turn_uses_the_results_of_the_turns_before_it(calm: Deployment) -> None:
    def with_the_first_result(request: Request) -> Reply:
        return ask(call("count", numbers=[int(request.results[0]), 10]), call("look", text=request.results[1]))

    model = calm.endpoint.script(
        ask(call("count", numbers=[1, 2]), call("look", text="a")),
        with_the_first_result,
        lambda request: say(" and ".join(request.results)),
    )
    job = await calm.completed(model=model)
    assert job.answer == "13 and seen seen a"
    assert (job.turns, job.calls) == (3, 4)
    assert job.usage.prompt_tokens == 15


async def test_a_second_job_continues_the_conversation(calm: Deployment) -> None:
    model = calm.endpoint.script(ask(call("look", text="tea")), say("tea it is"))
    first = await calm.completed("what is there?", model=model)
    second = await calm.completed("and now?", model=model, conversation_id=first.conversation_id)
    roles = [message["role"] for message in await calm.client.conversation(second.conversation_id)]
    assert roles == ["user", "assistant", "tool", "assistant"] * 2
    seen_last = calm.endpoint.requests(model)[-1].messages
    assert [message["content"] for message in seen_last if message["role"] == "tool"] == ["seen tea", "seen tea"]


async def test_a_job_on_a_busy_conversation_waits_or_is_refused_as_its_caller_chose(calm: Deployment) -> None:
    napping = calm.endpoint.script(ask(call("nap", seconds=0.5)), say("slept"))
    talking = calm.endpoint.script(lambda request: say(f"after {len(request.messages)} messages"))
    first = await calm.submit(model=napping)
    await calm.noted("begin", first)
    conversation = {"conversation_id": first.conversation_id, "model": talking}
    with pytest.raises(JobRefused, match=first.job_id) as refusal:
        await calm.submit("refuse me", if_busy="refuse", **conversation)
    assert refusal.value.code == "conversation_busy"
    second = await calm.submit("second", **conversation)
    third = await calm.submit("third", **conversation)
    assert (await calm.client.get(third.job_id)).state == "waiting"
    answers = [result.answer for result in await all_of(calm.result(job) for job in (first, second, third))]
    assert answers == ["slept", "after 5 messages", "after 7 messages"]


async def test_many_jobs_at_once_do_each_unsafe_thing_once(calm: Deployment) -> None:
    model = calm.endpoint.script(
        ask(*[call("pay", amount=amount) for amount in range(4)], call("look", text="x"), call("count", numbers=[1])),
        ask(call("pay", amount=9)),
        say("paid"),
    )
    jobs = await all_of(calm.completed(f"job {number}", model=model) for number in range(40))
    for job in jobs:
        assert [kind for kind, _ in await calm.outcomes(job)] == ["succeeded"] * 7
        keys = [note.key for note in calm.notes(job)]
        assert len(keys) == len(set(keys)) == 7


async def test_a_fast_job_passes_fifty_slow_model_calls_in_one_process(calm: Deployment) -> None:
    slow = calm.endpoint.script(say("at last").after(4))
    fast = calm.endpoint.script(ask(call("look", text="x")), say("fast"))
    jobs = await all_of(calm.submit(f"job {number}", model=slow) for number in range(50))
    await wait_until(lambda: len(calm.endpoint.requests(slow)) == 50, "fifty calls in flight")
    await calm.completed(model=fast)
    assert calm.endpoint.in_flight >= 50
    assert {result.answer for result in await all_of(calm.result(job) for job in jobs)} == {"at last"}


async def test_everything_that_happens_to_a_job_can_be_followed_to_its_end(calm: Deployment) -> None:
    model = calm.endpoint.script(ask(call("walk", steps=3), call("stroll", steps=3)), say("there"))
    job = await calm.submit(model=model)
    events = [event async for event in calm.client.events(job.job_id)]
    types = [event.type for event in events]
    assert types[:3] == ["job_accepted", "turn_started", "model_answered"]
    assert types[-1] == "job_ended"
    progress = [(event.index, event.message) for event in events if event.type == "call_progress"]
    expected = [f"step {step}" for step in (1, 2, 3)]
    assert [message for index, message in progress if index == 0] == expected
    assert [message for index, message in progress if index == 1] == expected
    assert await calm.outcomes(job) == [("succeeded", "arrived")] * 2
    again = [event async for event in calm.client.events(job.job_id, after=events[4].id)]
    assert again == events[5:]


async def test_a_client_that_is_cancelled_while_it_waits_leaves_the_job_alone(calm: Deployment) -> None:
    job = await calm.submit(model=calm.endpoint.script(ask(call("nap", seconds=0.3)), say("slept")))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await calm.result(job)
    assert (await calm.result(job)).answer == "slept"
