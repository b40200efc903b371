"""The catalogue of tools, which living workers publish."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis

from ledger.catalogue import ALIVE_FOR, publish_tools, read_catalogue
from tests.promises import assert_promises
from tests.simulated_steps import tool
from tests.simulation import Simulation


@pytest.fixture
def simulation(redis_url: str) -> Iterator[Simulation]:
    """A deployment on an empty Redis, which keeps its promises also after the test."""
    with redis.Redis.from_url(redis_url) as client:
        simulation = Simulation(client)
        yield simulation
        assert_promises(client, quiescent=False, repaired=simulation.counter("repaired"))


def test_the_catalogue_has_what_living_workers_publish(simulation: Simulation) -> None:
    look, act = tool(), tool(effect="unsafe").model_copy(update={"name": "act"})
    assert simulation.run(publish_tools([look, act])) == 2
    assert simulation.run(publish_tools([look, act])) == 0
    simulation.let_time_pass(ALIVE_FOR + timedelta(seconds=1))
    assert simulation.run(publish_tools([look])) == 0
    published = {one.specification.reference: one for one in simulation.run(read_catalogue())}
    assert {reference: one.is_alive for reference, one in published.items()} == {
        "look@1.0.0": True,
        "act@1.0.0": False,
    }
    assert published["look@1.0.0"].specification == look


def test_the_catalogue_forgets_what_nobody_had_for_a_day(simulation: Simulation) -> None:
    simulation.run(publish_tools([tool()]))
    simulation.let_time_pass(timedelta(days=1, seconds=1))
    simulation.run(publish_tools([]))
    assert simulation.run(read_catalogue()) == []


def test_the_catalogue_leaves_out_what_this_process_cannot_read(simulation: Simulation) -> None:
    simulation.run(publish_tools([tool()]))
    newer = json.loads(tool().model_dump_json()) | {"name": "newer", "schema_version": 99}
    simulation.redis.hset(simulation.key("catalogue"), "newer@1.0.0", json.dumps(newer))
    simulation.redis.zadd(simulation.key("catalogue:seen"), {"newer@1.0.0": 1e15})
    assert [one.specification.name for one in simulation.run(read_catalogue())] == ["look"]
