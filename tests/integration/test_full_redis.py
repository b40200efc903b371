"""A Redis at its `maxmemory` with `noeviction`: what frees goes on, what adds is refused before it changes anything.

That whole deployments recover from it is shown in `tests/scenarios/test_redis_away.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import dramatiq
import pytest
import redis
from dramatiq import Worker

from ledger.catalogue import publish_tools
from messaging import queue_commands
from messaging.broker import TrunklineBroker
from messaging.command_runner import BlockingRunner, PipeliningRunner
from messaging.errors import RedisFull
from messaging.limits import QueueLimits, set_queue_limits
from messaging.redis_access.clients import ClientOptions, build_async_client
from tests.scenarios.waiting import wait_until
from tests.simulated_steps import POOL, fan_out_command, open_call
from tests.simulation import CHECK_INTERVAL, HEARTBEAT_TIMEOUT, NAMESPACE, ORCHESTRATOR, Simulation
from tests.snapshot import Snapshot
from trunkline import Client, client

WORK = "errands"


@contextmanager
def full(server: redis.Redis) -> Iterator[None]:
    """Takes all room away for a while."""
    server.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.OutOfMemoryError):
            server.set("x", "y")
        yield
    finally:
        server.config_set("maxmemory", 0)


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as server:
        yield server


def put(simulation: Simulation, *ids: str) -> None:
    simulation.run(queue_commands.enqueue([(WORK, id, b"{}", None) for id in ids]))


def content(server: redis.Redis) -> dict[str, object]:
    return {name: key.content for name, key in Snapshot.take(server, NAMESPACE).keys.items()}


def test_messages_are_fetched_settled_and_given_back(server: redis.Redis) -> None:
    simulation = Simulation(server)
    put(simulation, *"abcdefgh")
    dead = simulation.hire(WORK)
    simulation.run(queue_commands.fetch(dead, WORK, 1))
    simulation.make_silent(dead)
    server.script_flush()
    with full(server):
        worker = simulation.hire(WORK)
        fetched = simulation.run(queue_commands.fetch(worker, WORK, 5)).deliveries
        acked, returned, later, buried, again = fetched
        for delivery, how, detail in ((acked, "ack", ""), (returned, "give_back", ""), (later, "postpone", 0)):
            assert simulation.run(queue_commands.settle([delivery], how, detail)) == 1  # type: ignore[arg-type]
        simulation.run(queue_commands.bury(buried, reason="failed", error="", notice=(ORCHESTRATOR, "hear")))
        assert simulation.run(queue_commands.retry(again, queue=WORK, id="again", body=b"{}", delay_ms=0))
        assert simulation.run(queue_commands.vouch([worker])) == 1
        assert simulation.run(queue_commands.reconcile(worker, WORK, [])) == 0
        simulation.run(set_queue_limits(WORK, QueueLimits(max_in_flight=100)))
        simulation.run(publish_tools([]))
        beat = queue_commands.beat([worker], heartbeat_timeout=HEARTBEAT_TIMEOUT, check_interval=CHECK_INTERVAL)
        assert simulation.run(beat).released == 1
        assert sorted(simulation.waiting(WORK)) == ["a", "again", "c", "d", "g", "h"]
        assert simulation.run(queue_commands.leave(worker, died=False)) == 0
        assert simulation.run(queue_commands.purge(WORK)) > 0


def test_what_adds_is_refused_and_has_changed_nothing(server: redis.Redis) -> None:
    simulation = Simulation(server)
    simulation.accept()
    worker = simulation.hire()
    turn = simulation.begin_turn(worker)
    before = content(server)
    with full(server):
        with pytest.raises(redis.OutOfMemoryError):
            put(simulation, "a")
        with pytest.raises(redis.OutOfMemoryError):
            simulation.accept("and another")
        with pytest.raises(redis.OutOfMemoryError):
            simulation.run(fan_out_command(turn, [open_call("a")]))
    assert content(server) == before
    assert simulation.fan_out(turn, [open_call("a")])
    assert len(simulation.waiting(POOL)) == 1


def test_a_client_is_told_that_redis_is_full(
    server: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_PATIENCE_S", 0)
    with Client(redis_url) as jobs, full(server), pytest.raises(RedisFull, match="raise its maxmemory"):
        jobs.submit("hello")


async def test_a_process_that_starts_now_loads_its_scripts(server: redis.Redis, redis_url: str) -> None:
    Simulation(server).hire(WORK)
    server.script_flush()
    async with build_async_client(
        redis_url, ClientOptions(longest_block=timedelta(seconds=1), max_connections=4)
    ) as connections:
        runner = PipeliningRunner(connections, namespace=NAMESPACE)
        with full(server):
            await runner.run_once(queue_commands.register("w", {}, [WORK]))
            assert (await runner.run_once(queue_commands.fetch("w", WORK, 1))).registered
        await runner.close()


async def test_a_stock_worker_goes_on_and_its_consumers_do_not_break(
    server: redis.Redis, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker = TrunklineBroker(url=redis_url)
    done: list[int] = []

    @dramatiq.actor(broker=broker, queue_name=WORK)
    def note(number: int) -> None:
        done.append(number)

    def refused() -> int:
        return int(server.info("errorstats").get("errorstat_OOM", {"count": 0})["count"])

    def waits() -> bool:
        return any(one["cmd"] == "blmove" for one in server.client_list())

    for number in range(3):
        note.send(number)
    worker = Worker(broker, worker_threads=1, worker_timeout=100)
    try:
        with full(server):
            worker.start()
            await wait_until(lambda: len(done) == 3, "what had been there before")
            refused_before = refused()
            await wait_until(lambda: refused() > refused_before + 1, "its trying to wait")
            with pytest.raises(redis.OutOfMemoryError):
                BlockingRunner(server, namespace=NAMESPACE).run(queue_commands.enqueue([(WORK, "a", b"{}", None)]))
        await wait_until(waits, "its waiting as before")
        note.send(3)
        await wait_until(lambda: len(done) == 4, "what came afterwards")
    finally:
        worker.stop()
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
