"""Every script, made to fail at each of its commands: Redis does not roll back what it had written until then.

Two things are asked. The first is a promise: no message is lost; it comes back, or everything was done. The second is
whether an honest worker then brings everything in order. Where it does not, `SCARS` says so and why: to get there,
Redis must refuse one command of a script that it let begin, such as for a key of a wrong type.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, Final

import pytest
import redis

from ledger import call_steps, job_end, reading
from ledger.accepting import Refused, accept
from ledger.refusals import refuse_job
from ledger.sweeping import sweep
from messaging import queue_commands
from messaging.command import Command
from messaging.dead_letters import end_dead_letter
from messaging.delivery import Delivery
from messaging.limits import QueueLimits, Rate, TenantLimits, set_queue_limits, set_tenant_limits
from messaging.queue_commands import SettleHow
from messaging.script import Script
from schemas.chat_job import ChatJob, ReplyAddress
from schemas.tool import Effect
from tests.promises import check_promises
from tests.simulated_steps import (
    OTHER_POOL,
    POOL,
    UNSAFE_WAIT,
    Asked,
    accept_command,
    call_of,
    claim_call_command,
    claim_turn_command,
    fan_out_command,
    finish_command,
    open_call,
    outcome_command,
    refused_call,
    retry_call_command,
    retry_turn_command,
)
from tests.simulation import CHECK_INTERVAL, HEARTBEAT_TIMEOUT, INTAKE, NAMESPACE, NOTICE, ORCHESTRATOR, Simulation
from tests.snapshot import Entry, Snapshot

REPLY_TO = {"queue": "reply.upstream", "actor": "hear"}

_END: Final = "the state is written before the event, the reply, the next job and the expiry of keys, and then it stays"
_CALL: Final = "the outcome is written before its event; and what the sweeper continues is announced twice"
#: Scenes after which an honest worker does not bring everything in order, and why not.
SCARS: Final = {
    "accept_job": "the redelivered message makes a job of its own; what was written of the first one is left over",
    "accept_job that waits": "likewise",
    "accept_job without a message": "likewise; and once its idempotency key is written, the unfinished one is found",
    "claim_turn after too many crashes": _END,
    "fan_out": "the assistant message is appended first; the turn is taken again and appends another",
    "fan_out of refused calls": "likewise",
    "finish_job": f"the assistant message is appended first; and {_END}",
    "end_job by cancel": _END,
    "end_job by expiry": _END,
    "claim_call": "the attempt is counted before its event",
    "claim_call of an unknown outcome": _CALL,
    "claim_call after too many crashes": _CALL,
    "record_outcome": "the stored result is written before its size, and the outcome before its event",
    "record_outcome of the last call": _CALL,
    "refuse_job": "a reply is sent before its queue is made to expire; and a dead letter has its time before its body",
    "settle bury": "a dead letter has its time before its body",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A command, ready to be sent, and the delivery that it is a step of, if it is one."""

    command: Command[Any]
    delivery: Delivery | None = None
    can_be_sent_again: bool = True
    """By whoever got an error; a step is not, since its message comes back."""


Builder = Callable[[Simulation], Scene]


# What is set up


def _turn(simulation: Simulation) -> tuple[str, str, Delivery]:
    """A job with everything that a job may have, its worker, and its first turn, claimed."""
    job = simulation.accept(reply_to=REPLY_TO, key="k")
    simulation.accept("and then?", conversation_id=job.conversation_id)
    worker = simulation.hire()
    return job.job_id, worker, simulation.begin_turn(worker)


def _calls(simulation: Simulation, *, effect: Effect = "read", number: int = 2) -> tuple[str, str]:
    """The same in the middle of its calls."""
    job_id, worker, delivery = _turn(simulation)
    simulation.fan_out(delivery, [open_call(f"call_{index}", effect=effect) for index in range(number)])
    return job_id, worker


def accept_from_message(simulation: Simulation) -> Scene:
    simulation.send_job(reply_to=REPLY_TO)
    delivery = simulation.must_fetch(simulation.hire(), INTAKE)
    return Scene(accept_command(delivery, simulation.rules), delivery)


def accept_that_waits(simulation: Simulation) -> Scene:
    simulation.send_job(conversation_id=simulation.accept().conversation_id)
    delivery = simulation.must_fetch(simulation.hire(), INTAKE)
    return Scene(accept_command(delivery, simulation.rules), delivery)


def accept_without_message(simulation: Simulation) -> Scene:
    job = ChatJob.model_validate({"messages": [{"role": "user", "content": "hello"}]})
    return Scene(accept(job, simulation.rules, idempotency_key="k"))


def claim_turn(simulation: Simulation) -> Scene:
    simulation.accept()
    delivery = simulation.must_fetch(simulation.hire())
    return Scene(claim_turn_command(delivery), delivery)


def claim_turn_crashed(simulation: Simulation) -> Scene:
    _, worker, _ = _turn(simulation)
    simulation.run(queue_commands.leave(worker, died=False))
    delivery = simulation.crash_often(ORCHESTRATOR)
    return Scene(claim_turn_command(delivery), delivery)


def fan_out(simulation: Simulation) -> Scene:
    _, _, delivery = _turn(simulation)
    calls: list[Asked] = [open_call("a"), refused_call("b"), open_call("c", pool=OTHER_POOL)]
    return Scene(fan_out_command(delivery, calls), delivery)


def fan_out_refused(simulation: Simulation) -> Scene:
    _, _, delivery = _turn(simulation)
    return Scene(fan_out_command(delivery, [refused_call("a"), refused_call("b")]), delivery)


def finish(simulation: Simulation) -> Scene:
    _, _, delivery = _turn(simulation)
    return Scene(finish_command(delivery), delivery)


def retry_turn(simulation: Simulation) -> Scene:
    _, _, delivery = _turn(simulation)
    return Scene(retry_turn_command(delivery), delivery)


def cancel(simulation: Simulation) -> Scene:
    job_id, worker = _calls(simulation, effect="unsafe")
    simulation.begin_call(worker)
    return Scene(job_end.cancel_job(job_id, reason="enough"))


def expire(simulation: Simulation) -> Scene:
    job_id, worker = _calls(simulation)
    simulation.begin_call(worker)
    simulation.let_time_pass(simulation.rules.default_timeout)
    simulation.beat(worker)
    delivery = simulation.must_fetch(worker)
    return Scene(job_end.expire_job(delivery, job_id), delivery)


def expire_early(simulation: Simulation) -> Scene:
    job_id, worker = _calls(simulation)
    schedule, expiry = simulation.key(f"{ORCHESTRATOR}:schedule"), simulation.record(job_id)["expiry_message"]
    simulation.redis.zadd(schedule, {expiry: 0})
    simulation.beat(worker)
    delivery = simulation.must_fetch(worker)
    return Scene(job_end.expire_job(delivery, job_id), delivery)


def claim_call(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation)
    delivery = simulation.must_fetch(worker, POOL)
    return Scene(claim_call_command(delivery), delivery)


def claim_call_lost(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation, effect="unsafe")
    simulation.begin_call(worker)
    simulation.crash(worker)
    delivery = simulation.must_fetch(simulation.hire(), POOL)
    return Scene(claim_call_command(delivery), delivery)


def claim_call_unknown(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation, effect="unsafe", number=1)
    simulation.begin_call(worker)
    simulation.crash(worker)
    simulation.let_time_pass(UNSAFE_WAIT)
    delivery = simulation.must_fetch(simulation.hire(), POOL)
    return Scene(claim_call_command(delivery), delivery)


def claim_call_crashed(simulation: Simulation) -> Scene:
    _calls(simulation, number=1)
    delivery = simulation.crash_often(POOL)
    return Scene(claim_call_command(delivery), delivery)


def record_outcome(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation)
    delivery = simulation.begin_call(worker)
    return Scene(outcome_command(delivery, "short", stored_result="a long result"), delivery)


def record_outcome_last(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation, number=1)
    delivery = simulation.begin_call(worker)
    return Scene(outcome_command(delivery), delivery)


def retry_call(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation)
    delivery = simulation.begin_call(worker)
    return Scene(retry_call_command(delivery), delivery)


def record_progress(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation)
    delivery = simulation.begin_call(worker)
    return Scene(call_steps.record_progress(**call_of(delivery), message="half"))


def refuse(simulation: Simulation) -> Scene:
    simulation.send_job()
    delivery = simulation.must_fetch(simulation.hire(), INTAKE)
    reply_to = ReplyAddress.model_validate(REPLY_TO)
    return Scene(refuse_job(delivery, Refused("invalid", "no"), reply_to), delivery)


def sweep_lost_turn(simulation: Simulation) -> Scene:
    simulation.accept()
    simulation.redis.delete(simulation.key(ORCHESTRATOR), simulation.key(f"{ORCHESTRATOR}.msgs"))
    return Scene(sweep(0))


def sweep_lost_call(simulation: Simulation) -> Scene:
    _calls(simulation, number=1)
    simulation.redis.delete(simulation.key(POOL), simulation.key(f"{POOL}.msgs"))
    return Scene(sweep(0))


def list_expired_jobs(simulation: Simulation) -> Scene:
    simulation.accept()
    simulation.drain()
    simulation.let_time_pass(simulation.rules.job_retention)
    return Scene(reading.list_jobs())


def fetch(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation)
    return Scene(queue_commands.fetch(worker, POOL, 2), can_be_sent_again=False)


def leave(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation)
    simulation.begin_call(worker)
    simulation.must_fetch(worker, POOL)
    return Scene(queue_commands.leave(worker, died=True))


def reconcile(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation)
    simulation.begin_call(worker)
    simulation.must_fetch(worker, POOL)
    return Scene(queue_commands.reconcile(worker, POOL, []))


def beat(simulation: Simulation) -> Scene:
    """The round in which most happens: a dead worker, a due message, and one that a stock producer delayed."""
    _, worker = _calls(simulation)
    simulation.begin_call(worker)
    simulation.run(queue_commands.settle([simulation.must_fetch(worker, POOL)], "postpone", 0))
    delayed = simulation.send_job()
    body = simulation.redis.hget(simulation.key(f"{INTAKE}.msgs"), delayed)
    simulation.redis.delete(simulation.key(INTAKE), simulation.key(f"{INTAKE}.msgs"))
    simulation.redis.hset(simulation.key(f"{INTAKE}.DQ.msgs"), delayed, body)
    simulation.redis.rpush(simulation.key(f"{INTAKE}.DQ"), delayed)
    other = simulation.hire()
    simulation.make_silent(worker)
    return Scene(
        queue_commands.beat([other], heartbeat_timeout=HEARTBEAT_TIMEOUT, check_interval=CHECK_INTERVAL),
        can_be_sent_again=False,
    )


def enqueue(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation)
    delivery = simulation.must_fetch(worker, POOL)
    return Scene(queue_commands.enqueue([(POOL, "copy", delivery.body, None), (POOL, "later", delivery.body, 1000)]))


def settle(how: SettleHow) -> Builder:
    def build(simulation: Simulation) -> Scene:
        _, worker = _calls(simulation)
        delivery = simulation.must_fetch(worker, POOL)
        detail = '{"reason":"unreadable","error":""}' if how == "bury" else 1000
        return Scene(queue_commands.settle([delivery], how, detail, notice=NOTICE), delivery)

    return build


def retry(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation)
    delivery = simulation.must_fetch(worker, POOL)
    command = queue_commands.retry(delivery, queue=POOL, id="next attempt", body=delivery.body, delay_ms=0)
    return Scene(command, delivery)


def retry_dead_letter(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation)
    delivery = simulation.must_fetch(worker, POOL)
    simulation.run(queue_commands.bury(delivery, reason="unreadable", error="", notice=None))
    return Scene(end_dead_letter(POOL, delivery.id, "retry"))


def mend(simulation: Simulation) -> Scene:
    _calls(simulation)
    simulation.redis.delete(simulation.key(POOL))
    simulation.redis.hset(simulation.key(f"{POOL}:deliveries"), "gone", "1@1")
    simulation.run(queue_commands.mend(interval=timedelta()))
    simulation.redis.hset(simulation.key(f"{POOL}:deliveries"), "gone", "1@1")
    return Scene(queue_commands.mend(interval=timedelta()))


def purge(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation)
    simulation.begin_call(worker)
    simulation.run(queue_commands.settle([simulation.must_fetch(worker, POOL)], "postpone", 60_000))
    return Scene(queue_commands.purge(POOL))


def register(simulation: Simulation) -> Scene:
    _calls(simulation)
    return Scene(queue_commands.register("somebody new", {"reads": 1}, [POOL, OTHER_POOL]))


def vouch(simulation: Simulation) -> Scene:
    _, worker = _calls(simulation)
    simulation.begin_call(worker)
    return Scene(queue_commands.vouch([worker, simulation.hire()]))


def change_limits(simulation: Simulation) -> Scene:
    _calls(simulation)
    return Scene(set_queue_limits(POOL, QueueLimits(rate=Rate(50), burst=5, max_in_flight=2, fair=True)))


def of_fair_queue(build: Builder) -> Builder:
    """The same where tenants share the queue."""

    def build_fair(simulation: Simulation) -> Scene:
        simulation.run(set_queue_limits(POOL, QueueLimits(rate=Rate(1e5), burst=100, max_in_flight=9, fair=True)))
        simulation.run(set_tenant_limits(POOL, "*", TenantLimits(rate=Rate(1e5), burst=100, max_in_flight=9)))
        return build(simulation)

    return build_fair


SCENES: Final[dict[str, Builder]] = {
    "accept_job": accept_from_message,
    "accept_job that waits": accept_that_waits,
    "accept_job without a message": accept_without_message,
    "claim_turn": claim_turn,
    "claim_turn after too many crashes": claim_turn_crashed,
    "fan_out": fan_out,
    "fan_out of refused calls": fan_out_refused,
    "finish_job": finish,
    "retry_turn": retry_turn,
    "end_job by cancel": cancel,
    "end_job by expiry": expire,
    "end_job too early": expire_early,
    "claim_call": claim_call,
    "claim_call of an unsafe call": claim_call_lost,
    "claim_call of an unknown outcome": claim_call_unknown,
    "claim_call after too many crashes": claim_call_crashed,
    "record_outcome": record_outcome,
    "record_outcome of the last call": record_outcome_last,
    "retry_call": retry_call,
    "record_progress": record_progress,
    "refuse_job": refuse,
    "sweep of a lost turn": sweep_lost_turn,
    "sweep of a lost call": sweep_lost_call,
    "list_jobs": list_expired_jobs,
    "fetch": fetch,
    "leave": leave,
    "reconcile": reconcile,
    "beat": beat,
    "enqueue": enqueue,
    "retry": retry,
    "end_dead_letter": retry_dead_letter,
    "mend": mend,
    "purge": purge,
    "register": register,
    "vouch": vouch,
    "set_limits": change_limits,
    "fetch of a fair queue": of_fair_queue(fetch),
    "leave of a fair queue": of_fair_queue(leave),
    "settle ack of a fair queue": of_fair_queue(settle("ack")),
    "settle give_back of a fair queue": of_fair_queue(settle("give_back")),
    "settle postpone of a fair queue": of_fair_queue(settle("postpone")),
    "mend of a fair queue": of_fair_queue(mend),
    "purge of a fair queue": of_fair_queue(purge),
    "settle ack": settle("ack"),
    "settle give_back": settle("give_back"),
    "settle postpone": settle("postpone"),
    "settle break": settle("break"),
    "settle bury": settle("bury"),
}


# Breaking it

_FAULT: Final = "a fault of the test"


def failing(command: Command[Any], commands_before: int) -> Command[Any]:
    """The same command, whose script fails instead of sending one more command than so many."""
    assert command.script is not None
    shebang, _, source = command.script.source.partition("\n")
    guard = f"""
local commands_left = {commands_before}
local function call_or_fail(...)
  commands_left = commands_left - 1
  if commands_left < 0 then error('{_FAULT}') end
  return redis.call(...)
end
"""
    source = shebang + guard + source.replace("redis.call(", "call_or_fail(")
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Command(Script(command.script.name, source, sha), command.words, command.decode)


@dataclass(frozen=True, slots=True)
class Fault:
    """What a failure led to."""

    after: int
    """How many commands had gone well."""
    lost: bool
    """The message neither comes back, nor was everything done."""
    violations: Sequence[str]
    """What is not in order after an honest worker has done what is left."""


def faults_of(simulation: Simulation, build: Builder) -> Iterator[Fault]:
    """Fails a script at each of its commands in turn, from the same state."""
    scene = build(simulation)
    before = _save(simulation)
    simulation.run(scene.command)
    _lose_worker(simulation, scene)
    everything_done = _content(simulation)
    for after in count():
        _restore(simulation, before)
        try:
            simulation.run(failing(scene.command, after))
        except redis.ResponseError as error:
            if _FAULT not in str(error):
                raise
        else:
            return  # it has no more commands
        _lose_worker(simulation, scene)
        lost = not _comes_back(simulation, scene) and _content(simulation) != everything_done
        if scene.delivery is None and scene.can_be_sent_again:
            simulation.run(scene.command)
        for worker in simulation.redis.zrange(simulation.key("__workers__"), 0, -1):
            simulation.run(queue_commands.leave(worker.decode(), died=False))
        _bring_in_order(simulation)
        violations = check_promises(simulation.redis, repaired=simulation.counter("repaired"))
        yield Fault(after, lost, violations)


def _bring_in_order(simulation: Simulation) -> None:
    """An honest worker does what there is to do and mends, the sweeper looks for what is lost, and deadlines pass."""
    simulation.drain()
    command = queue_commands.mend(interval=timedelta())
    while any(simulation.run(command) != (0, 0) for _ in range(2)):
        simulation.drain()
    while simulation.run(sweep(0)).repaired:
        simulation.drain()
    simulation.drain(patience=timedelta(hours=2))


def _lose_worker(simulation: Simulation, scene: Scene) -> None:
    if scene.delivery:
        simulation.crash(scene.delivery.worker)


def _comes_back(simulation: Simulation, scene: Scene) -> bool:
    if scene.delivery is None:
        return True  # nobody delivers it: whoever sent the command got an error
    queue = scene.delivery.queue
    in_lanes = [
        id.decode()
        for lane in simulation.redis.scan_iter(f"{NAMESPACE}:{queue}:lane:*")
        for id in simulation.redis.lrange(lane, 0, -1)
    ]
    return scene.delivery.id in [*simulation.waiting(queue), *in_lanes, *simulation.scheduled(queue)]


_UNIMPORTANT: Final = (
    "counters",
    "__sequence__",
    "__workers__",
    "__heartbeats__",
    "__reads__",
    "__gone__",
    "__recovery__",
)


def _content(simulation: Simulation) -> dict[str, object]:
    """All that is there, without times and what is counted."""
    keys = Snapshot.take(simulation.redis, NAMESPACE).keys
    wanted = {name: key for name, key in keys.items() if name not in _UNIMPORTANT and not name.endswith(":crashes")}
    return {name: _without_times(key.content) for name, key in wanted.items()}


def _without_times(content: Any) -> object:
    match content:
        case str():
            return re.sub(r"\d{13,}", "T", content)
        case float():
            return "T" if content > 1e12 else content
        case dict():
            return {_without_times(name): _without_times(value) for name, value in content.items()}
        case Entry():
            return _without_times(dict(content.fields))
        case list():
            return [_without_times(element) for element in content]
        case _:
            return content


Saved = list[tuple[bytes, int, bytes]]


def _save(simulation: Simulation) -> Saved:
    client = simulation.redis
    return [(key, max(client.pttl(key), 0), client.dump(key)) for key in client.scan_iter(count=1000)]


def _restore(simulation: Simulation, saved: Saved) -> None:
    pipeline = simulation.redis.pipeline()
    pipeline.flushdb()
    for key, ttl_ms, value in saved:
        pipeline.restore(key, ttl_ms, value)
    pipeline.execute()


@pytest.mark.parametrize("name", SCENES)
def test_a_script_that_fails_at_any_of_its_commands_loses_no_message(redis_url: str, name: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        faults = list(faults_of(Simulation(client), SCENES[name]))
    assert len(faults) > 2, "the fault did not hit"
    assert [fault.after for fault in faults if fault.lost] == []
    scars = {fault.after: fault.violations for fault in faults if fault.violations}
    if name not in SCARS:
        assert scars == {}
        return
    assert scars, f"{name} heals now: take it out of SCARS"
    pytest.xfail(f"{len(scars)} of {len(faults)} places leave a scar: {SCARS[name]}")
