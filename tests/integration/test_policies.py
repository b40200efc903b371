"""The policies around a call, with a scripted model and tools of the tests' own."""

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Annotated, Any

from annotated_types import Ge

from orchestrator.model_client import ModelAnswer, ModelCall, ModelRequest
from orchestrator.scripted_model import ScriptedModel
from schemas.call import Call
from schemas.events import CallProgress
from tests.in_process import deployment
from workers.context import Progress, ToolContext
from workers.errors import ArgumentsRejected, NotDone, ToolFailed
from workers.registry import ToolRegistry
from workers.tool import Retries, tool


def calling(name: str, *arguments: dict[str, Any] | str) -> ScriptedModel:
    """A model that calls a tool, once per arguments, and then says what it was told."""

    def say(request: ModelRequest) -> ModelAnswer:
        told = [message for message in map(json.loads, request.messages) if message["role"] == "tool"]
        if told:
            return ModelAnswer(content=" | ".join(message["content"] for message in told))
        texts = [each if isinstance(each, str) else json.dumps(each) for each in arguments or ({},)]
        return ModelAnswer(calls=[ModelCall(f"c{index}", name, text) for index, text in enumerate(texts)])

    return ScriptedModel(otherwise=say)


async def outcome(redis_url: str, declared: Any, *arguments: Any, **fields: Any) -> Call:
    """How the one call of a job ends."""
    async with deployment(redis_url, model=calling(declared.name, *arguments), tools=[declared]) as running:
        result, calls = await running.run(**fields)
    assert result.state == "completed", result.error
    assert len(calls) == 1
    assert calls[0].outcome is not None
    return calls[0]


def kind_and_content(call: Call) -> tuple[str, str]:
    assert call.outcome is not None
    return call.outcome.kind, call.outcome.content


@tool(pool="p", effect="read", permissions={"vault:read"})
def open_vault() -> str:
    """Opens the vault."""
    return "gold"


async def test_a_caller_without_the_permission_is_denied_by_name(redis_url: str) -> None:
    kind, content = kind_and_content(await outcome(redis_url, open_vault))
    assert kind == "denied"
    assert "vault:read" in content


async def test_a_caller_with_the_permission_gets_the_result(redis_url: str) -> None:
    call = await outcome(redis_url, open_vault, caller={"permissions": ["vault:*"]})
    assert kind_and_content(call) == ("succeeded", "gold")


@tool(pool="p", effect="read")
def square(side: Annotated[int, Ge(1)], unit: str = "m") -> str:
    """Squares."""
    return f"{side * side} {unit}"


async def test_arguments_off_the_schema_go_back_with_their_paths(redis_url: str) -> None:
    kind, content = kind_and_content(await outcome(redis_url, square, {"side": 0, "colour": "red"}))
    assert kind == "rejected"
    assert "side" in content
    assert "colour" in content


def raising(error: Exception, effect: Any) -> Any:
    @tool(pool="p", effect=effect)
    def raise_it() -> str:
        """Raises."""
        raise error

    return raise_it


async def test_an_exception_of_a_read_tool_is_failed_and_shows_no_secret(redis_url: str) -> None:
    error = ValueError("cannot reach postgres://app:hunter2@db/main")
    kind, content = kind_and_content(await outcome(redis_url, raising(error, "read")))
    assert kind == "failed"
    assert "ValueError" in content
    assert "hunter2" not in content
    assert "Traceback" not in content


async def test_an_exception_of_an_unsafe_tool_leaves_its_effect_unknown(redis_url: str) -> None:
    kind, content = kind_and_content(await outcome(redis_url, raising(ToolFailed("line cut"), "unsafe")))
    assert kind == "unknown"
    assert "line cut" in content


async def test_an_unsafe_tool_that_did_nothing_has_failed(redis_url: str) -> None:
    call = await outcome(redis_url, raising(NotDone("no such calendar"), "unsafe"))
    assert kind_and_content(call) == ("failed", "no such calendar")


async def test_a_tool_may_reject_arguments_itself(redis_url: str) -> None:
    error = ArgumentsRejected([("until", "must be after from")])
    kind, content = kind_and_content(await outcome(redis_url, raising(error, "unsafe")))
    assert kind == "rejected"
    assert "until: must be after from" in content


@tool(pool="p", effect="read", timeout=timedelta(milliseconds=100))
async def sleep_async() -> str:
    """Sleeps."""
    await asyncio.sleep(60)
    return "awake"


@tool(pool="p", effect="unsafe", timeout=timedelta(milliseconds=100))
def sleep_in_a_thread(*, context: ToolContext) -> str:
    """Sleeps until it is told to stop."""
    while not context.cancelled:
        time.sleep(0.01)
    return "awake"


async def test_a_tool_that_takes_too_long_times_out(redis_url: str) -> None:
    kind, content = kind_and_content(await outcome(redis_url, sleep_async))
    assert kind == "timed_out"
    assert "0.1 s" in content


async def test_an_unsafe_tool_that_takes_too_long_is_unknown_and_is_told_to_stop(redis_url: str) -> None:
    kind, _ = kind_and_content(await outcome(redis_url, sleep_in_a_thread))
    assert kind == "unknown"


_attempts: list[str] = []


@tool(pool="p", effect="idempotent", retries=Retries(max_attempts=3, backoff=timedelta(milliseconds=20)))
def fails_twice(*, context: ToolContext) -> str:
    """Fails twice."""
    _attempts.append(context.idempotency_key)
    if len(_attempts) < 3:
        raise ConnectionError("try again")
    return f"attempt {context.attempt}"


async def test_a_failing_tool_is_tried_again_under_the_same_key(redis_url: str) -> None:
    _attempts.clear()
    call = await outcome(redis_url, fails_twice)
    assert kind_and_content(call) == ("succeeded", "attempt 3")
    assert call.attempts == 3
    assert len(_attempts) == 3
    assert len(set(_attempts)) == 1


_runs: list[int] = []


@tool(pool="p", effect="read", cache=timedelta(minutes=1))
def count_runs(x: int) -> int:
    """Counts its runs."""
    _runs.append(x)
    return len(_runs)


async def test_a_result_is_reused_for_equal_arguments_of_the_same_tenant_only(redis_url: str) -> None:
    _runs.clear()
    model = calling("count_runs", {"x": 1})
    async with deployment(redis_url, model=model, tools=[count_runs]) as running:
        answers = [
            (await running.run(caller={"tenant": tenant}))[0].answer for tenant in ("acme", "acme", "globex", "acme")
        ]
    assert answers == ["1", "1", "2", "1"]


@tool(pool="p", effect="read")
async def steps_async() -> AsyncIterator[Progress | str]:
    """Tells how far it is."""
    yield Progress("half way", 0.5)
    await asyncio.sleep(0.2)
    yield Progress("done", 1.0)
    yield "result"


@tool(pool="p", effect="read")
def steps() -> Iterator[Progress | str]:
    """Tells how far it is."""
    yield Progress("half way", 0.5)
    time.sleep(0.2)
    yield Progress("done", 1.0)
    yield "result"


async def progress_of(redis_url: str, declared: Any) -> list[str]:
    async with deployment(redis_url, model=calling(declared.name), tools=[declared]) as running:
        accepted = await running.client.submit("go")
        events = [event async for event in running.client.events(accepted.job_id)]
        assert [kind_and_content(call) for call in await running.client.calls(accepted.job_id)] == [
            ("succeeded", "result")
        ]
    return [event.message for event in events if isinstance(event, CallProgress)]


async def test_progress_of_an_async_tool_reaches_who_follows_the_job(redis_url: str) -> None:
    assert await progress_of(redis_url, steps_async) == ["half way", "done"]


async def test_progress_of_a_plain_tool_reaches_who_follows_the_job(redis_url: str) -> None:
    assert await progress_of(redis_url, steps) == ["half way", "done"]


def returning(result: Callable[[], Any], effect: Any = "read") -> Any:
    @tool(pool="p", effect=effect)
    def return_it():  # type: ignore[no-untyped-def]  # a tool of somebody who does not annotate
        """Returns."""
        return result()

    return return_it


async def test_a_result_without_a_json_form_is_failed_and_names_the_type(redis_url: str) -> None:
    kind, content = kind_and_content(await outcome(redis_url, returning(threading.Lock)))
    assert kind == "failed"
    assert "lock" in content


async def test_a_result_that_is_too_large_is_failed_and_says_how_large(redis_url: str) -> None:
    kind, content = kind_and_content(await outcome(redis_url, returning(lambda: "x" * 10_000_000)))
    assert kind == "failed"
    assert "10,000,000 bytes" in content


async def test_a_large_result_is_stored_and_the_model_gets_its_beginning(redis_url: str) -> None:
    call = await outcome(redis_url, returning(lambda: "äb" * 100_000))
    kind, content = kind_and_content(call)
    assert kind == "succeeded"
    assert content.startswith("äbäb")
    assert len(content) < 40_000
    assert call.stored_bytes == 300_000


async def test_a_tool_that_wants_to_exit_does_not_take_its_worker_down(redis_url: str) -> None:
    def leave() -> None:
        raise SystemExit(3)

    kind, content = kind_and_content(await outcome(redis_url, returning(leave)))
    assert kind == "failed"
    assert "SystemExit" in content


CPU_BOUND_TOOLS = '''
import os, time
from datetime import timedelta
from trunkline import Progress, ToolContext, ToolFailed, tool

@tool(pool="computing", effect="read", cpu_bound=True, timeout=timedelta(seconds=20))
def which_process(say: str, *, context: ToolContext):
    """Tells where it runs."""
    yield Progress("working", 0.5)
    if say == "die":
        os._exit(7)
    if say == "fail":
        raise ToolFailed("it would not")
    yield f"{os.getpid()} {say} {context.attempt}"
'''


async def test_a_computing_tool_runs_in_a_process_of_its_own_and_takes_only_that_down(
    redis_url: str, tmp_path: Any
) -> None:

    module = tmp_path / "computing_tools.py"
    module.write_text(CPU_BOUND_TOOLS)
    tools = ToolRegistry.load(modules=[str(module)], pools=["computing"], installed=[]).for_pool("computing")
    model = calling("which_process", {"say": "hello"}, {"say": "die"}, {"say": "fail"})
    settings = {"tools": str(module), "pool": "computing"}
    async with deployment(redis_url, model=model, tools=tools, settings=settings) as running:
        _, calls = await running.run(timeout_ms=60_000)
    hello, die, fail = map(kind_and_content, calls)
    assert hello[0] == "succeeded"
    assert hello[1].endswith("hello 1")
    assert int(hello[1].split()[0]) != os.getpid()
    assert die[0] == "failed"
    assert "exit code 7" in die[1]
    assert fail == ("failed", "it would not")
