"""Workers that are told to stop, and workers that are frozen and wake up when others have taken over."""

import signal
import time

import pytest

from tests.scenarios.deployment import HEARTBEAT_TIMEOUT, RECOVERY, Deployment
from tests.scenarios.endpoint import ask, call, say
from tests.scenarios.waiting import all_of, wait_until

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session"), pytest.mark.together]


async def test_a_worker_that_stops_finishes_what_it_has_begun_and_takes_nothing_new(deployment: Deployment) -> None:
    await deployment.run("orchestrator")
    worker = await deployment.run("workers", pool="alpha", calls_at_once=2)
    naps = [call("unsafe_nap", seconds=0.8)] * 2
    job = await deployment.submit(model=deployment.endpoint.script(ask(*naps, *naps), say("slept")))
    await deployment.noted("begin", job, times=2)
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0
    assert len(deployment.notes(job, what="done")) == 2
    assert deployment.redis.llen(f"{deployment.prefix}:alpha") == 2
    await deployment.run("workers", pool="alpha")
    assert (await deployment.result(job)).answer == "slept"
    assert [kind for kind, _ in await deployment.outcomes(job)] == ["succeeded"] * 4
    assert [one.attempts for one in await deployment.calls(job)] == [1] * 4


async def test_a_worker_whose_time_to_stop_is_over_gives_back_at_once_and_nothing_is_counted(
    deployment: Deployment,
) -> None:
    await deployment.run("orchestrator")
    worker = await deployment.run("workers", pool="alpha", stop_timeout=0.2)
    calls = ask(call("nap", seconds=1.5), call("watchful_nap", seconds=1.5))
    job = await deployment.submit(model=deployment.endpoint.script(calls, say("slept")))
    await deployment.noted("begin", job, times=2)
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0
    stopped_at = time.monotonic()
    await deployment.run("workers", pool="alpha")
    await deployment.noted("begin", job, times=4)
    began_again = max(note.at for note in deployment.notes(job, what="begin"))
    assert began_again - stopped_at < RECOVERY.total_seconds()
    assert not deployment.redis.exists(f"{deployment.prefix}:alpha:crashes")
    assert (await deployment.result(job)).answer == "slept"


async def test_an_unsafe_call_that_is_given_back_is_not_begun_again(deployment: Deployment) -> None:
    await deployment.run("orchestrator")
    worker = await deployment.run("workers", pool="alpha", stop_timeout=0.1)
    model = deployment.endpoint.script(ask(call("hang_unsafe")), say("so be it"))
    job = await deployment.submit(model=model)
    await deployment.noted("begin", job)
    worker.send(signal.SIGTERM)
    await worker.ended()
    await deployment.run("workers", pool="alpha")
    assert (await deployment.result(job)).answer == "so be it"
    assert [kind for kind, _ in await deployment.outcomes(job)] == ["unknown"]
    assert len(deployment.notes(job, what="begin")) == 1


async def test_an_orchestrator_that_stops_finishes_its_model_calls(deployment: Deployment) -> None:
    orchestrator = await deployment.run("orchestrator")
    model = deployment.endpoint.script(say("in time").after(1))
    job = await deployment.submit(model=model)
    await wait_until(lambda: len(deployment.endpoint.requests(model)) == 1, "the model call")
    orchestrator.send(signal.SIGTERM)
    assert await orchestrator.ended() == 0
    assert (await deployment.client.get(job.job_id)).answer == "in time"


@pytest.mark.parametrize("moment", range(4))
async def test_a_process_that_is_told_to_stop_while_it_starts_stops(deployment: Deployment, moment: int) -> None:
    worker = deployment.start("workers", pool="alpha")
    living = f"{deployment.prefix}:__workers__"
    await wait_until(lambda: deployment.redis.zcard(living) == 1, "its registration")
    time.sleep(moment * 0.002)  # noqa: ASYNC251 - moments that differ are what is tested
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0


async def test_a_frozen_worker_wakes_up_and_changes_nothing_that_others_have_done(deployment: Deployment) -> None:
    await deployment.run("orchestrator")
    frozen = await deployment.run("workers", pool="alpha")
    calls = ask(call("nap", seconds=0.6), call("unsafe_nap", seconds=0.6))
    job = await deployment.submit(model=deployment.endpoint.script(calls, say("slept")))
    await deployment.noted("begin", job, times=2)
    frozen.send(signal.SIGSTOP)
    await deployment.run("workers", pool="alpha")
    await deployment.noted("begin", job, times=3)  # the read one runs again, the unsafe one waits
    await deployment.noted("done", job)
    frozen.send(signal.SIGCONT)
    await deployment.noted("done", job, times=3)
    assert (await deployment.result(job)).answer == "slept"
    assert [kind for kind, _ in await deployment.outcomes(job)] == ["succeeded"] * 2
    by_call = [
        [note.pid for note in deployment.notes(job, what="begin") if f"/1/{index}" in note.call] for index in (0, 1)
    ]
    assert [len(pids) for pids in by_call] == [2, 1]
    assert deployment.counters()["late_outcomes"] == 1
    await _goes_on_under_a_new_id(deployment, frozen.pid)


async def test_the_late_outcome_of_a_frozen_worker_counts_if_there_is_none(deployment: Deployment) -> None:
    await deployment.run("orchestrator")
    frozen = await deployment.run("workers", pool="alpha")
    model = deployment.endpoint.script(ask(call("nap", seconds=0.6), call("unsafe_nap", seconds=0.6)), say("slept"))
    job = await deployment.submit(model=model)
    await deployment.noted("begin", job, times=2)
    frozen.send(signal.SIGSTOP)
    queue = f"{deployment.prefix}:alpha"
    await wait_until(lambda: deployment.redis.llen(queue) == 2, "both calls back in the queue")
    frozen.send(signal.SIGCONT)
    assert (await deployment.result(job)).answer == "slept"
    assert [kind for kind, _ in await deployment.outcomes(job)] == ["succeeded"] * 2
    await deployment.keeps_its_promises()
    assert len([note for note in deployment.notes(job, what="begin") if "/1/1" in note.call]) == 1
    await _goes_on_under_a_new_id(deployment, frozen.pid)


async def test_a_tool_that_blocks_the_event_loop_is_not_taken_for_dead(deployment: Deployment) -> None:
    await deployment.run("orchestrator")
    worker = await deployment.run("workers", pool="alpha")
    seconds = HEARTBEAT_TIMEOUT.total_seconds() * 1.5
    model = deployment.endpoint.script(ask(call("block_loop", seconds=seconds), call("look", text="x")), say("done"))
    job = await deployment.completed(model=model)
    assert await deployment.outcomes(job) == [("succeeded", "let go"), ("succeeded", "seen x")]
    assert [one.attempts for one in await deployment.calls(job)] == [1, 1]
    assert "declared dead" not in worker.log.read_text()


async def test_an_unsafe_tool_that_holds_the_interpreter_runs_once_and_its_outcome_counts(
    deployment: Deployment,
) -> None:
    await deployment.run("orchestrator")
    held = await deployment.run("workers", pool="alpha")
    seconds = HEARTBEAT_TIMEOUT.total_seconds() * 2
    job = await deployment.submit(
        model=deployment.endpoint.script(ask(call("hold_interpreter", seconds=seconds)), say("done"))
    )
    await deployment.noted("begin", job)
    await deployment.run("workers", pool="alpha")
    assert (await deployment.result(job)).answer == "done"
    assert await deployment.outcomes(job) == [("succeeded", "let go")]
    assert [note.what for note in deployment.notes(job)] == ["begin", "done"]
    await wait_until(lambda: "declared dead" in held.log.read_text(), "that it is declared dead")


async def test_a_frozen_orchestrator_does_not_finish_a_job_twice(deployment: Deployment) -> None:
    await deployment.run("workers", pool="gamma")
    frozen = await deployment.run("orchestrator")
    model = deployment.endpoint.script(ask(call("pay", amount=1)).after(0.5), say("paid").after(0.5))
    job = await deployment.submit(model=model)
    await wait_until(lambda: len(deployment.endpoint.requests(model)) == 1, "the model call")
    frozen.send(signal.SIGSTOP)
    await deployment.run("orchestrator")
    assert (await deployment.result(job)).answer == "paid"
    frozen.send(signal.SIGCONT)
    await wait_until(lambda: deployment.counters().get("late_steps", 0) == 1, "its late step")
    assert len(deployment.notes(job)) == 1
    await all_of(deployment.completed(model=model) for _ in range(4))


async def _goes_on_under_a_new_id(deployment: Deployment, pid: int) -> None:
    for process in deployment.processes:
        if process.role == "workers" and process.pid != pid and process.alive:
            await process.kill()
    await deployment.completed(model=deployment.endpoint.script(ask(call("look", text="x")), say("seen")))
    assert deployment.notes(what="done")[-1].pid == pid
