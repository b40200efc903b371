"""Telemetry processes that are killed with SIGKILL in the middle: every job counts once, and nothing that was said."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from messaging.command_runner import BlockingRunner
from messaging.dead_letters import read_dead_letters
from messaging.queue_commands import enqueue
from orchestrator.model_client import ModelAnswer, ModelCall, ModelRequest
from orchestrator.scripted_model import ScriptedModel
from telemetry.metrics import instruments as of
from telemetry.metrics.fields import read_series
from telemetry.metrics.keeper import METRICS_GROUP
from telemetry.metrics.store import read_metrics
from tests.in_process import deployment
from tests.redis_nodes import wait_until
from workers.tool import tool

NAMESPACE = "{trunkline}"
FEED = f"{NAMESPACE}:feed"
READERS = f"{NAMESPACE}:feed:group:{METRICS_GROUP}:readers"
JOBS = 150
KILLS = 2
CANARY = "canary-in-a-coal-mine"


@tool(pool="p", effect="read")
def look(where: str) -> str:
    """Looks."""
    return f"{CANARY} at {where}"


def answer(request: ModelRequest) -> ModelAnswer:
    if any(json.loads(message)["role"] == "tool" for message in request.messages):
        return ModelAnswer(content=CANARY)
    arguments = json.dumps({"where": CANARY})
    return ModelAnswer(calls=[ModelCall("a", "look", arguments), ModelCall("b", CANARY, arguments)])


class Telemetry:
    """Telemetry processes, one after the other."""

    def __init__(self, redis_url: str, log: Path) -> None:
        self.redis = redis.Redis.from_url(redis_url)
        self._environment = {**os.environ, "TRUNKLINE_REDIS_URL": redis_url, "OTEL_METRICS_EXPORTER": "none"}
        self._environment["OPENAI_API_KEY"] = CANARY
        self._log = log

    def start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen([sys.executable, "-P", "-m", "telemetry"], env=self._environment, stderr=log)

    def held(self) -> int:
        """How many entries a reader holds."""
        try:
            pending: Any = self.redis.xpending(FEED, METRICS_GROUP)
        except redis.ResponseError:  # nobody has read yet
            return 0
        return int(pending["pending"])

    def forget_silence(self) -> None:
        """Lets the time pass after which a killed reader is taken for dead."""
        readers: Any = self.redis.zrange(READERS, 0, -1)
        self.redis.zadd(READERS, dict.fromkeys(readers, 0))

    def done(self) -> bool:
        delivered = self.redis.hget(f"{NAMESPACE}:feed:group:{METRICS_GROUP}", "delivered")
        return self.held() == 0 and delivered == self.redis.get(f"{FEED}:sequence")


@pytest.fixture
def telemetry(redis_url: str, tmp_path: Path) -> Iterator[Telemetry]:
    telemetry = Telemetry(redis_url, tmp_path / "telemetry.log")
    yield telemetry
    telemetry.redis.close()


async def test_every_job_counts_once_and_nothing_that_was_said(
    redis_url: str, telemetry: Telemetry, tmp_path: Path
) -> None:
    async with deployment(redis_url, model=ScriptedModel(otherwise=answer), tools=[look]) as running:
        submitted = (running.run(CANARY, model="m", metadata={"note": CANARY}) for _ in range(JOBS))
        results = [result for result, _ in await asyncio.gather(*submitted)]
        assert {result.state for result in results} == {"completed"}
    for _ in range(KILLS):
        process = telemetry.start()
        wait_until(lambda: telemetry.held() > 0)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert telemetry.held() > 0  # it was killed in the middle
        telemetry.forget_silence()
    process = telemetry.start()
    wait_until(telemetry.done)
    process.terminate()
    assert process.wait() == 0

    runner = BlockingRunner(telemetry.redis, namespace=NAMESPACE)
    series = read_series([runner.run(read_metrics()).totals])
    assert series[of.JOBS].numbers == {("completed", "m", "default"): JOBS}
    calls = {(labels[0], labels[-1]): number for labels, number in series[of.TOOL_CALLS].numbers.items()}
    assert calls == {("look", "succeeded"): JOBS, ("unknown", "rejected"): JOBS}
    counts = telemetry.redis.hgetall(f"{NAMESPACE}:feed:group:{METRICS_GROUP}")
    assert int(counts[b"taken_over"]) >= KILLS

    for key in telemetry.redis.scan_iter(f"{NAMESPACE}:metrics:*"):
        assert CANARY.encode() not in (telemetry.redis.dump(key) or b"")
        if telemetry.redis.type(key) == b"hash":
            assert CANARY not in str(telemetry.redis.hgetall(key))
    assert CANARY not in (tmp_path / "telemetry.log").read_text()


async def test_dead_letters_do_not_show_what_was_said(redis_url: str) -> None:
    job = {"messages": [{"role": "user", "content": CANARY}], "metadata": {"note": CANARY}, "timeout_ms": -1}
    body = {
        "queue_name": "intake",
        "actor_name": "accept_job",
        "args": [],
        "kwargs": {"job": job},
        "options": {"redis_message_id": "m"},
        "message_id": "m",
        "message_timestamp": 0,
    }
    with redis.Redis.from_url(redis_url) as client:
        runner = BlockingRunner(client, namespace=NAMESPACE)
        async with deployment(redis_url, model=ScriptedModel(), tools=[look]):
            runner.run(enqueue([("intake", "m", json.dumps(body).encode(), None)]))
            await asyncio.to_thread(wait_until, lambda: len(runner.run(read_dead_letters("intake"))) == 1)
        (letter,) = runner.run(read_dead_letters("intake"))
    assert "timeout_ms" in letter.error
    assert CANARY not in str(letter)
    assert isinstance(letter.message, dict)
    assert letter.message["kwargs"]["job"]["messages"] == [{"role": "user", "content": "***"}]
