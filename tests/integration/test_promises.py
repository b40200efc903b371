"""The checks of `tests.promises` find what is broken on purpose: a check that never fails would prove nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import redis

from ledger import job_end
from messaging import queue_commands
from tests.promises import check_promises
from tests.simulated_steps import POOL, Asked, open_call, outcome_command, refused_call, retry_call_command
from tests.simulation import NAMESPACE, ORCHESTRATOR, Simulation


@dataclass
class Broken:
    """A deployment to break: a job that is done, one in its calls, and one that waits behind it."""

    simulation: Simulation
    done: str
    running: str
    waiting: str
    conversation: str
    """Of the job that is done."""
    busy: str
    """The conversation of the other two."""

    def hset(self, name: str, field: str, value: str | int) -> None:
        self.simulation.redis.hset(self.simulation.key(name), field, value)

    def hdel(self, name: str, field: str) -> None:
        assert self.simulation.redis.hdel(self.simulation.key(name), field)

    def event(self, job: str, type: str, data: str) -> None:
        self.simulation.redis.xadd(self.simulation.key(f"job:{job}:events"), {"type": type, "at": 1, "data": data})

    def drop_event(self, job: str, type: str) -> None:
        """Removes the last event of a type."""
        key = self.simulation.key(f"job:{job}:events")
        found = [id for id, fields in self.simulation.redis.xrange(key) if fields[b"type"] == type.encode()]
        self.simulation.redis.xdel(key, found[-1])

    def delete(self, *names: str) -> None:
        assert self.simulation.redis.delete(*(self.simulation.key(name) for name in names)) == len(names)

    def violations(self, *, quiescent: bool = False) -> list[str]:
        return check_promises(self.simulation.redis, NAMESPACE, quiescent=quiescent)


@pytest.fixture
def broken(redis_url: str) -> Iterator[Broken]:
    """Nothing is broken yet."""
    with redis.Redis.from_url(redis_url) as client:
        simulation = Simulation(client)
        done = simulation.accept(key="k", reply_to={"queue": "reply.upstream", "actor": "hear"})
        worker = simulation.hire()
        calls: list[Asked] = [open_call("a", effect="unsafe"), refused_call("b")]
        simulation.fan_out(simulation.begin_turn(worker), calls)
        simulation.run(outcome_command(simulation.begin_call(worker), "found", stored_result="x"))
        simulation.finish(simulation.begin_turn(worker))
        running = simulation.accept(key="l")
        waiting = simulation.accept("two", conversation_id=running.conversation_id)
        simulation.fan_out(simulation.begin_turn(worker), [open_call("a", effect="unsafe"), open_call("b")])
        simulation.begin_call(worker)
        broken = Broken(
            simulation, done.job_id, running.job_id, waiting.job_id, done.conversation_id, running.conversation_id
        )
        assert broken.violations() == []
        yield broken


def _second_end(broken: Broken) -> None:
    broken.event(broken.done, "job_ended", '{"state":"completed"}')


def _go_on_after_the_end(broken: Broken) -> None:
    broken.event(broken.done, "call_progress", '{"turn":1,"index":0,"message":"?"}')


def _second_outcome(broken: Broken) -> None:
    broken.event(broken.running, "call_ended", '{"turn":1,"index":0,"outcome":"failed"}')


def _begun_again(broken: Broken) -> None:
    broken.event(broken.running, "call_started", '{"turn":1,"index":0,"attempt":2,"delivery":{}}')
    broken.hset(f"job:{broken.running}:calls", "1/0:attempt", 2)


def _second_answer_of_the_model(broken: Broken) -> None:
    broken.event(broken.running, "model_answered", '{"turn":1,"facts":{},"calls":[]}')


def _turn_taken_too_early(broken: Broken) -> None:
    broken.event(broken.running, "turn_started", '{"turn":2,"attempt":1,"delivery":{}}')


def _tool_message_missing(broken: Broken) -> None:
    key = broken.simulation.key(f"conversation:{broken.conversation}:messages")
    broken.simulation.redis.lrem(key, 1, broken.simulation.redis.lindex(key, 2))


def _tool_messages_in_another_order(broken: Broken) -> None:
    key = broken.simulation.key(f"conversation:{broken.conversation}:messages")
    first, second = broken.simulation.redis.lrange(key, 2, 3)
    broken.simulation.redis.lset(key, 2, second)
    broken.simulation.redis.lset(key, 3, first)


def _another_result(broken: Broken) -> None:
    key = broken.simulation.key(f"conversation:{broken.conversation}:messages")
    broken.simulation.redis.lset(key, 2, '{"role":"tool","tool_call_id":"a","content":"something else"}')


def _continued_twice(broken: Broken) -> None:
    sequence = broken.simulation.redis.incr(broken.simulation.key("feed:sequence"))
    entry = {"job": broken.done, "what": "turn", "turn": 1, "sequence": sequence}
    broken.simulation.redis.xadd(broken.simulation.key("feed"), entry)


def _gap_in_the_feed(broken: Broken) -> None:
    broken.simulation.redis.incr(broken.simulation.key("feed:sequence"))


def _lost_message(broken: Broken) -> None:
    broken.simulation.redis.lpop(broken.simulation.key(POOL))


def _twice_in_the_queue(broken: Broken) -> None:
    broken.simulation.redis.rpush(broken.simulation.key(POOL), broken.simulation.waiting(POOL)[0])


def _no_owner(broken: Broken) -> None:
    broken.simulation.redis.zrem(broken.simulation.key("__workers__"), "worker-1")
    broken.simulation.redis.zrem(broken.simulation.key("__heartbeats__"), "worker-1")


def _second_reply(broken: Broken) -> None:
    broken.hset("reply.upstream.msgs", f"{broken.done}/reply~99", '{"kwargs":{"result":{}}}')


def _expiry_left_over(broken: Broken) -> None:
    expiry = broken.simulation.record(broken.done)["expiry_message"]
    broken.hset(f"{ORCHESTRATOR}:schedule.msgs", expiry, "{}")
    broken.simulation.redis.zadd(broken.simulation.key(f"{ORCHESTRATOR}:schedule"), {expiry: 1})


def _rest(job: str, suffix: str = "") -> Callable[[Broken], None]:
    def persist(broken: Broken) -> None:
        name = broken.simulation.key(f"job:{getattr(broken, job)}{suffix}")
        assert broken.simulation.redis.persist(name)

    return persist


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda b: b.drop_event(b.done, "job_ended"), "with 0 job_ended events"),
        (_second_end, "with 2 job_ended events"),
        (_go_on_after_the_end, "has events after its end"),
        (lambda b: b.hset(f"job:{b.done}", "state", "done"), "is in no state that there is"),
        (lambda b: b.hset(f"job:{b.done}", "state", "cancelled"), "its job_ended event says completed"),
        (lambda b: b.hset(f"job:{b.done}", "error", "{}"), "has an error"),
        (_second_outcome, "has the outcome None and 1 call_ended events"),
        (lambda b: b.drop_event(b.done, "call_ended"), "has the outcome succeeded and 0 call_ended events"),
        (lambda b: b.hset(f"job:{b.done}:calls", "1/0:outcome", "failed"), "is failed, but its events say"),
        (lambda b: b.hdel(f"job:{b.done}:calls", "1/0:outcome"), "has no outcome, though its turn is over"),
        (lambda b: b.hset(f"job:{b.running}", "open", 1), "has 2 open calls in turn 1 and counts 1"),
        (lambda b: b.hset(f"job:{b.running}", "calls_used", 1), "has 2 calls and counts 1"),
        (lambda b: b.hset(f"job:{b.running}:calls", "1/0:attempt", 2), "counts 2 attempts, and its events [1]"),
        (_begun_again, "is unsafe and was begun again"),
        (_second_answer_of_the_model, "has 2 answers of the model in turn 1"),
        (_turn_taken_too_early, "is in turn 1 and took its turns in the order [1, 2]"),
        (lambda b: b.drop_event(b.done, "model_answered"), "without an answer of the model in turn 2"),
        (_continued_twice, "is in the feed more than once"),
        (_gap_in_the_feed, "and counts"),
        (_tool_message_missing, "is not acceptable to a model"),
        (_tool_messages_in_another_order, "answers the calls ['a', 'b'] of message 1 with ['b', 'a']"),
        (_another_result, "does not have the outcomes of"),
        (lambda b: b.hset(f"conversation:{b.conversation}", "running", b.done), "runs, and [] do"),
        (lambda b: b.delete(f"conversation:{b.busy}:waiting"), "waits 0 times for"),
        (_rest("done"), "has no TTL"),
        (_rest("done", ":events"), "has no TTL"),
        (_rest("done", ":result:1/0"), "has no TTL"),
        (lambda b: b.simulation.redis.expire(b.simulation.key(f"job:{b.running}"), 9), "which is running, has a TTL"),
        (lambda b: b.simulation.redis.zrem(b.simulation.key("jobs:active"), b.running), "jobs:active has [] too many"),
        (lambda b: b.simulation.redis.zadd(b.simulation.key("jobs:active"), {b.done: 1}), "jobs:active has ["),
        (lambda b: b.simulation.redis.zrem(b.simulation.key("jobs"), b.done), "the index of jobs lacks"),
        (lambda b: b.delete(f"job:{b.done}"), "is left over of a job without a record"),
        (_lost_message, "since they neither wait nor are in flight"),
        (_twice_in_the_queue, "are in more than one place at once"),
        (lambda b: b.delete(f"{POOL}.msgs"), "have no body"),
        (lambda b: b.delete(f"{POOL}:deliveries"), "and workers hold"),
        (_no_owner, "which nobody will declare dead"),
        (lambda b: b.hset(f"{POOL}:crashes", "gone", "1|w|1"), "crashes are counted of ['gone'], which are done"),
        (lambda b: b.hset(f"{POOL}:lane_of", "gone", "i:x"), "lanes are kept of ['gone'], which are done"),
        (lambda b: b.hset(f"{POOL}:schedule.msgs", "odd", "{}"), "are in the schedule without a body"),
        (lambda b: b.hset(f"{POOL}.XQ.msgs", "odd", "{}"), "not every dead letter has a body and a cause"),
        (_expiry_left_over, "is still scheduled"),
        (lambda b: b.delete(f"{ORCHESTRATOR}:schedule.msgs"), "it could live for ever"),
        (lambda b: b.delete(POOL, f"{POOL}.msgs"), "is open, but its message"),
        (lambda b: b.delete("reply.upstream", "reply.upstream.msgs"), "0 answers were sent where 1 should be"),
        (_second_reply, "2 answers were sent where 1 should be"),
        (
            lambda b: b.simulation.redis.persist(b.simulation.key("reply.upstream.msgs")),
            "reply.upstream.msgs has no TTL",
        ),
        (lambda b: b.hset("counters", "repaired", 1), "the sweeper repaired 1 jobs or calls, where 0"),
    ],
)
def test_what_is_broken_is_found(broken: Broken, break_it: Callable[[Broken], object], says: str) -> None:
    break_it(broken)
    assert any(says in violation for violation in broken.violations()), broken.violations()


def test_an_unsafe_call_may_begin_again_when_its_tool_says_that_nothing_was_done(broken: Broken) -> None:
    simulation = broken.simulation
    simulation.crash("worker-1")
    simulation.drain()  # the calls of the other job
    job, worker = simulation.accept_with_call("unsafe")
    for _ in range(2):
        simulation.run(retry_call_command(simulation.begin_call(worker)))
        simulation.let_time_pass(simulation.rules.default_timeout / 60)
        simulation.beat(worker)
    assert simulation.answer(simulation.begin_call(worker))
    assert simulation.call(job.job_id)["attempt"] == "3"
    assert [violation for violation in broken.violations() if job.job_id in violation] == []


def test_only_what_is_at_rest_is_quiescent(broken: Broken) -> None:
    assert any("has not ended" in violation for violation in broken.violations(quiescent=True))
    assert any("is not at rest" in violation for violation in broken.violations(quiescent=True))
    for job in (broken.waiting, broken.running):
        broken.simulation.run(job_end.cancel_job(job, reason="enough"))
    broken.simulation.crash("worker-1")
    broken.simulation.drain()
    assert broken.violations(quiescent=True) == []


def test_an_expiry_may_come_once_more_when_it_broke_off_before_its_job_ended(broken: Broken) -> None:
    simulation = broken.simulation
    simulation.let_time_pass(simulation.rules.default_timeout)
    worker = simulation.hire()
    simulation.beat(worker)
    expiry = simulation.must_fetch(worker)
    assert "expiry" in expiry.id
    simulation.run(job_end.cancel_job(expiry.id.partition("/")[0], reason="enough"))
    assert simulation.run(queue_commands.settle([expiry], "break", 1000))
    assert expiry.id in simulation.scheduled()
    assert [violation for violation in broken.violations() if expiry.id in violation] == []
