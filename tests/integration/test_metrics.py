"""The metrics agree with the ledger: counts exactly, percentiles within the stated error, whoever reads the feed."""

import asyncio
import json
import math
import os
import random
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import pytest
import redis.asyncio
from annotated_types import Ge

from messaging.command_runner import PipeliningRunner
from orchestrator.model_client import ModelAnswer, ModelCall, ModelRequest, ModelUnavailable
from orchestrator.scripted_model import ScriptedModel
from schemas.call import Call
from schemas.events import CallEnded, JobEvent
from schemas.job_result import JobResult
from telemetry.facts_reader import FactsReader
from telemetry.feed import FeedReader
from telemetry.metrics import instruments as of
from telemetry.metrics import label_gate
from telemetry.metrics.fields import Series, read_series, sum_up
from telemetry.metrics.histogram import RELATIVE_ERROR
from telemetry.metrics.instruments import Instrument
from telemetry.metrics.keeper import METRICS_GROUP, MetricsKeeper
from telemetry.metrics.measurements import Measurement
from telemetry.metrics.measuring import Measuring
from telemetry.metrics.prices import Prices, read_prices
from telemetry.metrics.store import read_metrics
from telemetry.metrics.tool_report import model_lines, tool_lines
from tests.in_process import InProcess, deployment
from trunkline import NotDone
from workers.tool import Retries, tool

NAMESPACE = "{trunkline}"
JOBS = 24
MODEL = "gpt-test"
_waits = random.Random(4)
_numbers = count()


@tool(pool="p", effect="read")
async def wait_a_little() -> str:
    """Takes a while."""
    await asyncio.sleep(_waits.lognormvariate(-5, 1))
    return "done"


@tool(pool="p", effect="read", version="2.1.0")
def fail_now_and_then(number: Annotated[int, Ge(0)]) -> str:
    """Fails for every third number."""
    if number % 3 == 0:
        raise NotDone("not this one")
    return "done"


@tool(pool="p", effect="read", retries=Retries(max_attempts=3, backoff=timedelta(milliseconds=10)))
def succeed_the_second_time() -> str:
    """Fails every other time."""
    if next(_numbers) % 2 == 0:
        raise NotDone("away")
    return "done"


@tool(pool="p", effect="read", cache=timedelta(minutes=5))
def always_the_same() -> str:
    """Is cached."""
    return "done"


TOOLS = (wait_a_little, fail_now_and_then, succeed_the_second_time, always_the_same)


def answer(request: ModelRequest) -> ModelAnswer:
    """Calls everything once, and a tool that there is not; then says that it is done."""
    told = [message for message in map(json.loads, request.messages) if message["role"] == "tool"]
    if told:
        return ModelAnswer(content="done", prompt_tokens=107, completion_tokens=5)
    number = request.messages[0].count("x")
    calls = [
        ModelCall("a", "wait_a_little", "{}"),
        ModelCall("b", "wait_a_little", "{}"),
        ModelCall("c", "fail_now_and_then", json.dumps({"number": number})),
        ModelCall("d", "fail_now_and_then", '{"number": -1}'),
        ModelCall("e", "succeed_the_second_time", "{}"),
        ModelCall("f", "always_the_same", "{}"),
        ModelCall("g", f"made_up_{number}", "{}"),
    ]
    return ModelAnswer(calls=calls, prompt_tokens=100, completion_tokens=70)


@dataclass
class Known:
    """What the ledger says of some jobs."""

    results: list[JobResult] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    events: list[JobEvent] = field(default_factory=list)

    async def ask(self, running: InProcess, number: int) -> None:
        result, calls = await running.run("x" * number, model=MODEL, caller={"tenant": f"tenant-{number % 2}"})
        self.results.append(result)
        self.calls += calls
        self.events += [event async for event in running.client.events(result.job_id)]


@pytest.fixture
async def runner(redis_url: str) -> AsyncIterator[PipeliningRunner]:
    client = redis.asyncio.Redis.from_url(redis_url)
    runner = PipeliningRunner(client, namespace=NAMESPACE)
    yield runner
    await runner.close()
    await client.aclose()


def reader(runner: PipeliningRunner, name: str, *, prices: Prices | None = None) -> FeedReader:
    measuring = Measuring(prices=prices or Prices(), has_trace=lambda _: True)
    keeper = MetricsKeeper(runner, facts=FactsReader(runner, namespace=NAMESPACE), measuring=measuring, reader=name)
    return FeedReader(runner, group=METRICS_GROUP, handle=keeper.handle, name=name)


async def series(runner: PipeliningRunner) -> Mapping[Instrument, Series]:
    return read_series([(await runner.run(read_metrics())).totals])


async def stats(redis_url: str, *options: str) -> Any:
    """What `trunkline stats` says to programs."""
    command = (sys.executable, "-m", "trunkline", "stats", "--json", *options)
    environment = {**os.environ, "TRUNKLINE_REDIS_URL": redis_url}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    written, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(written)


def exact_percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


async def test_the_metrics_agree_with_the_ledger(redis_url: str, runner: PipeliningRunner, tmp_path: Path) -> None:
    prices_file = tmp_path / "prices.toml"
    prices_file.write_text(f'currency = "EUR"\n[models."{MODEL}"]\ninput = 2\noutput = 10\n')
    readers = [reader(runner, name, prices=read_prices(prices_file)) for name in ("one", "other")]
    known = Known()
    model = ScriptedModel(
        lines=[ModelUnavailable("HTTP 503: away", retry_after_s=0.01, error_type="503")], otherwise=answer
    )
    async with deployment(redis_url, model=model, tools=TOOLS) as running:
        for first in range(0, JOBS, 8):
            await asyncio.gather(*(known.ask(running, number) for number in range(first, first + 8)))
            await readers[first // 8 % 2].read_once()
        for each in readers:
            while await each.read_once():
                pass
    measured = await series(runner)

    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    for call in known.calls:
        assert call.outcome is not None
        name = call.tool.partition("@")[0]
        outcomes["unknown" if name.startswith("made_up") else name][call.outcome.kind] += 1
    lines = {line.tool: line for line in tool_lines(measured)}
    assert {name: Counter(line.outcomes) for name, line in lines.items()} == outcomes
    assert lines["fail_now_and_then"].errors == {"failed": JOBS // 3, "rejected": JOBS}
    assert lines["fail_now_and_then"].error_rate == (JOBS + JOBS // 3) / (2 * JOBS)
    assert lines["fail_now_and_then"].version == "2.1.0"
    retried = [call for call in known.calls if call.tool.startswith("succeed_the_second_time")]
    assert lines["succeed_the_second_time"].retries == sum(call.attempts - 1 for call in retried) > 0
    ended = [event for event in known.events if isinstance(event, CallEnded)]
    assert lines["always_the_same"].cache_hits == sum(event.cached for event in ended) > 0

    tools = {(job_call.turn, job_call.index): job_call.tool for job_call in known.calls[:7]}
    ran: dict[str, list[float]] = defaultdict(list)
    for event in ended:
        if event.elapsed_us is not None and event.outcome in ("succeeded", "failed") and not event.cached:
            ran[tools[event.turn, event.index].partition("@")[0]].append(event.elapsed_us / 1e6)
    for name, seconds in ran.items():
        durations = lines[name].durations
        assert durations.count == len(seconds)
        assert durations.mean == pytest.approx(math.fsum(seconds) / len(seconds), abs=1e-9)
        for share in (0.5, 0.95, 0.99):
            exact = exact_percentile(seconds, share)
            assert durations.percentile(share) == pytest.approx(exact, rel=RELATIVE_ERROR + 1e-9), name

    (line,) = model_lines(measured)
    prompt = sum(result.usage.prompt_tokens for result in known.results)
    completion = sum(result.usage.completion_tokens for result in known.results)
    assert (line.model, line.calls, line.errors) == (MODEL, 2 * JOBS + 1, {"503": 1})
    assert (line.input_tokens, line.output_tokens) == (prompt, completion)
    assert line.cost == {"EUR": pytest.approx((prompt * 2 + completion * 10) / 1e6)}
    assert sum(histogram.total for histogram in measured[of.CLIENT_TOKEN_USAGE].histograms.values()) == (
        prompt + completion
    )

    jobs = measured[of.JOBS].numbers
    assert jobs == {("completed", MODEL, "tenant-0"): JOBS / 2, ("completed", MODEL, "tenant-1"): JOBS / 2}
    ended_us = [(result.ended_us or 0) - result.accepted_us for result in known.results]
    durations = measured[of.JOB_DURATION].histograms["completed", MODEL]
    assert durations.total == pytest.approx(sum(ended_us) / 1e6)
    assert measured[of.JOB_TURNS].histograms[MODEL,].total == 2 * JOBS
    assert measured[of.CONSUMED_MESSAGES].numbers["redis", "process", "orchestrator"] == 2 * JOBS + 1
    assert measured[of.SENT_MESSAGES].numbers["redis", "send", "p"] == 6 * JOBS

    everything = await stats(redis_url)
    assert [each["tool"] for each in everything["tools"]] == sorted(lines)
    assert everything["not_counted_yet"] == 0
    recently = await stats(redis_url, "--since", "10m", "--tool", "wait_a_little")
    assert recently["tools"] == [each for each in everything["tools"] if each["tool"] == "wait_a_little"]
    assert recently["models"] == []
    assert recently["tools"][0]["p95_s"] == lines["wait_a_little"].durations.percentile(0.95)


async def test_what_shares_other_is_forgotten_and_asked_for_again(
    runner: PipeliningRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_gate, "_MOST_REMEMBERED", 150)
    gate = label_gate.LabelGate(runner)
    tenants = [f"tenant-{number}" for number in range(200)]
    for _ in range(2):  # the second time there is too much to remember, and of some of it nothing is remembered
        sums = sum_up(Measurement(of.TOKENS, (MODEL, tenant, "input"), 1, 60) for tenant in tenants)
        passed = Counter(one.labels[1] for one in await gate.pass_through(sums))
        assert passed[label_gate.OTHER] == 100
        assert len(passed) == 101


async def test_a_reader_that_dies_before_its_step_loses_and_doubles_nothing(
    redis_url: str, runner: PipeliningRunner
) -> None:
    async with deployment(redis_url, model=ScriptedModel(otherwise=answer), tools=TOOLS) as running:
        await asyncio.gather(*(running.run("x", model=MODEL) for _ in range(4)))

    async def die_after(entries: object) -> None:
        raise KeyError("killed")

    dead = FeedReader(runner, group=METRICS_GROUP, handle=die_after, name="dead")
    stop = asyncio.Event()
    with pytest.raises(KeyError):
        await dead.run(stop)
    alive = reader(runner, "alive")
    while await alive.read_once():
        pass
    assert (await series(runner))[of.JOBS].numbers == {("completed", MODEL, "default"): 4}
