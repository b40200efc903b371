"""Limits of queues: rates, places, pauses, and fair shares of tenants and priorities."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from messaging import queue_commands
from messaging.command_runner import BlockingRunner
from messaging.delivery import Delivery
from messaging.errors import InvalidLimit
from messaging.limits import (
    QueueLimits,
    Rate,
    TenantLimits,
    pause_queue,
    read_queue_limits,
    set_queue_limits,
    set_tenant_limits,
)
from messaging.limits_file import read_limits_file
from messaging.queue_commands import Fetched
from messaging.queue_states import read_queue_states

NAMESPACE = "{trunkline}"


@dataclass
class Queues:
    """Drives the queue scripts as several workers would."""

    client: redis.Redis
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.run = BlockingRunner(self.client, namespace=NAMESPACE).run

    def worker(self, name: str) -> str:
        self.run(queue_commands.register(name, {}, ["q"]))
        return name

    def put(self, count: int, lane: str | None = None) -> None:
        for _ in range(count):
            id = f"{lane or 'plain'}#{next(self.numbers)}"
            self.run(queue_commands.enqueue([("q", id, b"{}", None)], lane=lane))

    def fetch(self, worker: str, room: int = 1) -> Fetched:
        return self.run(queue_commands.fetch(worker, "q", room))

    def done(self, deliveries: list[Delivery] | tuple[Delivery, ...]) -> None:
        if deliveries:
            self.run(queue_commands.settle(deliveries, "ack"))

    def start_order(self, worker: str, count: int) -> list[str]:
        """The lanes of the next messages, each done before the next is fetched."""
        lanes = []
        for _ in range(count):
            fetched = self.fetch(worker)
            lanes += [delivery.id.partition("#")[0] for delivery in fetched.deliveries]
            self.done(list(fetched.deliveries))
        return lanes

    def is_rung(self, worker: str) -> bool:
        return self.client.exists(f"{NAMESPACE}:__wake__.{worker}.q") == 1

    def counts_agree(self) -> bool:
        in_flight = self.client.hlen(f"{NAMESPACE}:q:deliveries")
        return self.client.hlen(f"{NAMESPACE}:q.msgs") == self.client.llen(f"{NAMESPACE}:q") + in_flight


@pytest.fixture
def queues(redis_url: str) -> Iterator[Queues]:
    with redis.Redis.from_url(redis_url) as client:
        yield Queues(client)


def until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def test_a_burst_starts_at_once_and_then_the_rate_holds(queues: Queues) -> None:
    worker = queues.worker("w")
    queues.run(set_queue_limits("q", QueueLimits(rate=Rate.parse("2/min"), burst=3)))
    queues.put(10)
    first = queues.fetch(worker, 8)
    assert len(first.deliveries) == 3
    assert first.held_up_by == "throttled"
    assert 10 >= first.wait_s > 0
    assert first.waiting == 7
    assert queues.fetch(worker, 8).deliveries == []
    assert queues.counts_agree()


def test_no_window_sees_more_starts_than_the_rate_and_the_burst_allow(queues: Queues) -> None:
    rate, burst = 200.0, 4
    workers = [queues.worker(f"w{number}") for number in range(4)]
    queues.run(set_queue_limits("q", QueueLimits(rate=Rate(rate), burst=burst)))
    queues.put(150)
    starts: list[int] = []
    while len(starts) < 150:
        for worker in workers:
            starts += [delivery.fetched_us for delivery in queues.fetch(worker, 3).deliveries]
    for first, start in enumerate(starts):
        for window_us in (1_000, 20_000, 100_000, 500_000):
            inside = sum(start <= other < start + window_us for other in starts[first:])
            assert inside <= rate * window_us / 1e6 + burst


def test_each_waiting_worker_gets_a_time_of_its_own(queues: Queues) -> None:
    workers = [queues.worker(f"w{number}") for number in range(4)]
    queues.run(set_queue_limits("q", QueueLimits(rate=Rate.parse("2/s"))))
    queues.put(10)
    queues.fetch(workers[0])
    waits = [queues.fetch(worker).wait_s for worker in workers]
    assert waits == sorted(waits)
    apart = [later - earlier for earlier, later in itertools.pairwise(waits)]
    assert all(0.4 < gap < 0.6 for gap in apart), "by the server's clock, one token apart"


def test_a_worker_that_comes_too_early_keeps_its_time(queues: Queues) -> None:
    workers = [queues.worker(f"w{number}") for number in range(4)]
    queues.run(set_queue_limits("q", QueueLimits(rate=Rate.parse("2/s"))))
    queues.put(10)
    queues.fetch(workers[0])
    first, *_ = [queues.fetch(worker).wait_s for worker in workers]
    assert queues.fetch(workers[0]).wait_s <= first


def test_no_more_are_in_flight_than_there_are_places_and_a_free_place_rings_one_worker(queues: Queues) -> None:
    first, second, third = (queues.worker(name) for name in ("a", "b", "c"))
    queues.run(set_queue_limits("q", QueueLimits(max_in_flight=2)))
    queues.put(5)
    begun = queues.fetch(first, 5)
    assert len(begun.deliveries) == 2
    assert begun.held_up_by == "full"
    for worker in (second, third):
        assert queues.fetch(worker).held_up_by == "full"
    queues.done([begun.deliveries[0]])
    assert [queues.is_rung(worker) for worker in (first, second, third)] == [True, False, False]
    assert len(queues.fetch(second, 5).deliveries) == 1
    assert queues.counts_agree()


def test_a_dead_workers_places_are_free_again(queues: Queues) -> None:
    first, second = queues.worker("a"), queues.worker("b")
    queues.run(set_queue_limits("q", QueueLimits(max_in_flight=1)))
    queues.put(1)
    assert len(queues.fetch(first).deliveries) == 1
    queues.run(queue_commands.leave(first, died=True))
    assert len(queues.fetch(second).deliveries) == 1


def test_a_paused_queue_starts_nothing_and_its_end_rings_everybody(queues: Queues) -> None:
    workers = [queues.worker("a"), queues.worker("b")]
    queues.run(set_queue_limits("q", QueueLimits(rate=Rate.parse("100/s"), burst=5)))
    queues.run(pause_queue("q", paused=True))
    queues.put(3)
    for worker in workers:
        fetched = queues.fetch(worker)
        assert (fetched.deliveries, fetched.held_up_by) == ([], "paused")
    queues.run(pause_queue("q", paused=False))
    assert all(queues.is_rung(worker) for worker in workers)
    assert len(queues.fetch(workers[0], 5).deliveries) == 3
    limits = queues.run(read_queue_limits(NAMESPACE, "q"))
    assert limits == QueueLimits(rate=Rate(100), burst=5)


def test_a_change_of_the_rate_rings_those_who_wait_for_the_old_one(queues: Queues) -> None:
    worker = queues.worker("a")
    queues.run(set_queue_limits("q", QueueLimits(rate=Rate.parse("1/h"))))
    queues.put(5)
    assert queues.fetch(worker, 5).held_up_by == "throttled"
    queues.run(set_queue_limits("q", QueueLimits()))
    assert queues.is_rung(worker)
    assert len(queues.fetch(worker, 5).deliveries) == 4


def fair(queues: Queues, limits: QueueLimits | None = None) -> str:
    queues.run(set_queue_limits("q", limits or QueueLimits(fair=True)))
    return queues.worker("w")


def test_tenants_with_unequal_backlogs_get_equal_shares(queues: Queues) -> None:
    worker = fair(queues)
    queues.put(100, "i:loud")
    queues.put(5, "i:quiet")
    assert Counter(queues.start_order(worker, 10)) == {"i:loud": 5, "i:quiet": 5}
    assert queues.client.llen(f"{NAMESPACE}:q") == 95
    assert queues.counts_agree()


def test_shares_go_by_weight(queues: Queues) -> None:
    worker = fair(queues)
    queues.run(set_tenant_limits("q", "gold", TenantLimits(weight=3)))
    queues.put(40, "i:gold")
    queues.put(40, "i:tin")
    assert Counter(queues.start_order(worker, 40)) == {"i:gold": 30, "i:tin": 10}


def test_a_tenant_that_was_away_has_no_claim_on_the_past(queues: Queues) -> None:
    worker = fair(queues)
    queues.put(60, "i:steady")
    queues.start_order(worker, 50)
    queues.put(20, "i:late")
    shares = Counter(queues.start_order(worker, 10))
    assert abs(shares["i:late"] - shares["i:steady"]) <= 2


def test_interactive_work_goes_first_and_batch_work_is_not_starved(queues: Queues) -> None:
    worker = fair(queues)
    queues.put(100, "b:acme")
    queues.put(100, "i:acme")
    order = Counter(queues.start_order(worker, 50))
    assert order == {"i:acme": 45, "b:acme": 5}


def test_a_tenant_at_its_limit_holds_up_nobody(queues: Queues) -> None:
    worker = fair(queues)
    queues.run(set_tenant_limits("q", "slow", TenantLimits(rate=Rate.parse("1/h"))))
    queues.put(10, "i:slow")
    queues.put(5, "i:free")
    assert Counter(queues.start_order(worker, 7)) == {"i:slow": 1, "i:free": 5}
    held_up = queues.fetch(worker)
    assert held_up.held_up_by == "throttled"
    assert held_up.waiting == 9
    queues.run(set_tenant_limits("q", "slow", None))
    assert queues.start_order(worker, 9) == ["i:slow"] * 9
    assert queues.counts_agree()


def test_a_tenant_has_its_own_places(queues: Queues) -> None:
    worker = fair(queues)
    queues.run(set_tenant_limits("q", "*", TenantLimits(max_in_flight=1)))
    queues.put(3, "i:a")
    queues.put(3, "i:b")
    begun = queues.fetch(worker, 6)
    assert sorted(delivery.id.partition("#")[0] for delivery in begun.deliveries) == ["i:a", "i:b"]
    assert begun.held_up_by == "full"
    queues.done(list(begun.deliveries))
    assert len(queues.fetch(worker, 6).deliveries) == 2
    assert queues.counts_agree()


def test_what_is_given_back_keeps_its_tenant_and_its_place(queues: Queues) -> None:
    worker = fair(queues)
    queues.put(2, "i:a")
    first = queues.fetch(worker).deliveries
    queues.run(queue_commands.settle(list(first), "give_back"))
    again = queues.fetch(worker).deliveries
    assert [delivery.id for delivery in again] == [delivery.id for delivery in first]
    queues.run(queue_commands.leave(worker, died=True))
    other = queues.worker("other")
    assert queues.fetch(other).deliveries[0].id == first[0].id
    assert queues.counts_agree()


def test_a_retried_message_comes_back_to_its_lane(queues: Queues) -> None:
    worker = fair(queues)
    queues.put(1, "b:a")
    queues.run(queue_commands.settle(list(queues.fetch(worker).deliveries), "postpone", 1))
    queues.run(queue_commands.register("beating", {}, []))

    def promoted() -> bool:
        queues.run(
            queue_commands.beat(
                ["beating"], heartbeat_timeout=timedelta(seconds=5), check_interval=timedelta(seconds=1)
            )
        )
        return queues.client.llen(f"{NAMESPACE}:q") == 1

    until(promoted)
    assert queues.client.lrange(f"{NAMESPACE}:q", 0, -1) == [b"*"]
    assert queues.start_order(worker, 1) == ["b:a"]
    left = [key for key in queues.client.keys(f"{NAMESPACE}:q*") if b"clock" not in key and b"rested" not in key]
    assert left == [f"{NAMESPACE}:q:limits".encode()]


def test_purging_a_fair_queue_leaves_nothing_waiting(queues: Queues) -> None:
    worker = fair(queues)
    queues.run(set_tenant_limits("q", "a", TenantLimits(rate=Rate.parse("1/h"))))
    queues.put(3, "i:a")
    queues.put(3, "b:b")
    assert len(queues.fetch(worker, 2).deliveries) == 2
    assert queues.run(queue_commands.purge("q")) == 4
    assert queues.client.llen(f"{NAMESPACE}:q") == 0
    assert queues.counts_agree()


@pytest.mark.parametrize(
    ("written", "per_s"), [("50/s", 50), ("300/min", 5), ("1000/h", 1000 / 3600), (" 0.5 / s ", 0.5)]
)
def test_rates_are_read_as_people_write_them(written: str, per_s: float) -> None:
    assert Rate.parse(written).per_s == pytest.approx(per_s)


@pytest.mark.parametrize("written", ["fast", "50", "50/day", "-1/s", "0/s", "1e9/s", "9999999/s", "0.01/h", ""])
def test_an_absurd_rate_is_refused_with_what_would_do(written: str) -> None:
    with pytest.raises(InvalidLimit, match="rate"):
        Rate.parse(written)


@pytest.mark.parametrize(
    "limits",
    [QueueLimits(burst=0), QueueLimits(max_in_flight=0), QueueLimits(burst=10**9), QueueLimits(max_in_flight=10**9)],
)
def test_a_limit_of_zero_or_of_no_use_is_refused(limits: QueueLimits) -> None:
    with pytest.raises(InvalidLimit):
        set_queue_limits("q", limits)


LIMITS_FILE = """
[queues.q]
rate = "50/s"
burst = 10
max_in_flight = 20
fair = true

[queues.q.tenants.acme]
rate = "5/s"
weight = 2
"""


def test_a_file_sets_the_limits_that_queues_begin_with_and_no_later_ones(queues: Queues, tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    file.write_text(LIMITS_FILE)
    begin = QueueLimits(rate=Rate(50), burst=10, max_in_flight=20, fair=True)
    for command in read_limits_file(file):
        queues.run(command)
    assert queues.run(read_queue_limits(NAMESPACE, "q")) == begin
    assert queues.client.hget(f"{NAMESPACE}:q:tenant_limits", "acme") == b"200000|200000||2"
    queues.run(set_queue_limits("q", QueueLimits()))
    for command in read_limits_file(file):
        queues.run(command)
    assert queues.run(read_queue_limits(NAMESPACE, "q")) == QueueLimits()


def test_what_tenants_limits_hold_up_is_not_runnable(queues: Queues) -> None:
    queues.run(set_queue_limits("q", QueueLimits(fair=True)))
    queues.run(set_tenant_limits("q", "acme", TenantLimits(max_in_flight=2)))
    queues.run(set_tenant_limits("q", "slow", TenantLimits(rate=Rate(1 / 3600), burst=3)))
    worker = queues.worker("w")
    for lane, number in (("i:acme", 4), ("b:acme", 4), ("i:slow", 9), ("b:free", 5)):
        queues.put(number, lane=lane)

    def standing() -> tuple[int, int]:
        [state] = queues.run(read_queue_states())
        return state.waiting, state.runnable

    assert standing() == (22, 2 + 3 + 5)
    first = queues.fetch(worker, room=9).deliveries
    assert standing() == (13, 1)  # what is fetched at first leaves one of the free tenant's
    queues.fetch(worker, room=9)
    assert standing() == (12, 0)
    assert queues.fetch(worker).held_up_by == "throttled"
    queues.done([delivery for delivery in first if "acme" in delivery.id])
    assert standing() == (12, 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[queues.q]\nrate = "fast"', "rate"),
        ("[queues.q]\nburst = 0", "burst"),
        ("[queues.q]\nspeed = 1", "speed"),
        ("[queues.q]\nmax_in_flight = true", "queues.q.max_in_flight"),
        ("[queues.q.tenants]\nacme = 1", "queues.q.tenants.acme"),
        ("queues = 1", "queues"),
        ("[queues", "cannot be read"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "limits.toml"
    file.write_text(content)
    with pytest.raises(InvalidLimit, match=words):
        read_limits_file(file)
