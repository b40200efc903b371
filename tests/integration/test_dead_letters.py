"""Dead letters and the states of queues, as ops see them."""

import json
from collections.abc import Iterator

import pytest
import redis

from messaging import queue_commands
from messaging.command_runner import BlockingRunner
from messaging.dead_letters import end_dead_letter, read_dead_letters
from messaging.limits import QueueLimits, Rate, set_queue_limits
from messaging.queue_states import QueueState, read_queue_states

BODY = json.dumps({"actor_name": "work", "kwargs": {"password": "hunter2"}, "message_timestamp": 1}).encode()


@pytest.fixture
def runner(redis_url: str) -> Iterator[BlockingRunner]:
    with redis.Redis.from_url(redis_url) as client:
        runner = BlockingRunner(client, namespace="{trunkline}")
        runner.run(queue_commands.register("w", {}, ["q"]))
        yield runner


def bury(runner: BlockingRunner, id: str) -> None:
    runner.run(queue_commands.enqueue([("q", id, BODY, None)]))
    delivery = runner.run(queue_commands.fetch("w", "q", 1)).deliveries[0]
    runner.run(queue_commands.bury(delivery, reason="failed", error="it would not", notice=None))


def state(runner: BlockingRunner) -> QueueState:
    return next(state for state in runner.run(read_queue_states()) if state.name == "q")


def test_a_dead_letter_tells_its_cause_and_hides_secrets(runner: BlockingRunner) -> None:
    bury(runner, "a")
    (letter,) = runner.run(read_dead_letters("q"))
    assert (letter.id, letter.actor, letter.reason, letter.error) == ("a", "work", "failed", "it would not")
    assert letter.message == {"actor_name": "work", "kwargs": {"password": "***"}, "message_timestamp": 1}
    assert "hunter2" not in str(letter.content)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"actor_name": "work", "args": ["canary", 3, ["canary"]], "kwargs": {"text": "canary", "turn": 2}}', "turn"),
        (b'{"actor_name": ["canary"], "options": {"traceback": "canary", "retries": 1}}', "retries"),
        (b'{"kwargs": {"job": {"prompt": "canary", "model": "m", "metadata": {"canary": "x"}}}}', "model"),
        (b'{"kwargs": {"job": ' * 200 + b'{"model": "canary"}' + b"}}" * 200, "kwargs"),
        (b'{"actor_name": "work", "kwargs": {"text": "can', ""),
        (b'["canary"]', ""),
        (b'"canary"', ""),
        (b"[" * 100_000, ""),
        (b"\xffcanary", ""),
    ],
)
def test_a_dead_letter_shows_what_was_said_only_where_it_is_asked_for(
    runner: BlockingRunner, body: bytes, told: str
) -> None:
    runner.run(queue_commands.enqueue([("q", "a", body, None)]))
    delivery = runner.run(queue_commands.fetch("w", "q", 1)).deliveries[0]
    runner.run(queue_commands.bury(delivery, reason="undecodable", error="", notice=None))
    (letter,) = runner.run(read_dead_letters("q"))
    assert "canary" not in str(letter)
    assert told in str(letter.message)
    assert letter.actor in (None, "work")
    assert ("canary" in str(letter.content)) == (b"canary" in body)


def test_a_dead_letter_is_put_back_exactly_once(runner: BlockingRunner) -> None:
    bury(runner, "a")
    assert runner.run(end_dead_letter("q", "a", "retry"))
    assert not runner.run(end_dead_letter("q", "a", "retry"))
    deliveries = runner.run(queue_commands.fetch("w", "q", 9)).deliveries
    assert [(delivery.id, delivery.body, delivery.crashes) for delivery in deliveries] == [("a", BODY, 0)]
    assert state(runner).dead == 0


def test_a_discarded_dead_letter_is_gone(runner: BlockingRunner) -> None:
    bury(runner, "a")
    bury(runner, "b")
    assert runner.run(end_dead_letter("q", "a", "discard"))
    assert [letter.id for letter in runner.run(read_dead_letters("q"))] == ["b"]
    assert state(runner).waiting == 0


def test_the_state_of_a_queue_tells_what_could_start(runner: BlockingRunner) -> None:
    runner.run(set_queue_limits("q", QueueLimits(rate=Rate.parse("1/h"), burst=3, max_in_flight=2)))
    runner.run(queue_commands.enqueue([("q", str(number), BODY, None) for number in range(5)]))
    runner.run(queue_commands.enqueue([("q", "later", BODY, 60_000)]))
    before = state(runner)
    assert (before.waiting, before.runnable, before.throttled, before.scheduled) == (5, 2, 3, 1)
    assert before.oldest is not None
    runner.run(queue_commands.fetch("w", "q", 1))
    after = state(runner)
    assert (after.waiting, after.runnable, after.in_flight) == (4, 1, 1)
    assert after.limits == QueueLimits(rate=Rate(1 / 3600), burst=3, max_in_flight=2)


def test_a_queue_that_nobody_limits_could_start_everything(runner: BlockingRunner) -> None:
    runner.run(queue_commands.enqueue([("q", str(number), BODY, None) for number in range(5)]))
    assert state(runner).runnable == 5
    assert state(runner).rate_used is None
