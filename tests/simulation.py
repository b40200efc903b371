"""A deployment whose every step a test decides: a real Redis, real scripts, and workers that do what they are told.

A worker here is an id; a delivery is kept by the test, which may go on with it whenever it likes, also after the worker
was declared dead. It knows nothing of what a test expects.
"""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

import redis

from ledger import call_steps, job_end
from ledger.accepting import Acceptance, AcceptanceRules, Accepted, accept
from ledger.call_steps import CallClaimed, CallNotOurs, CallPostponed
from ledger.reading import read_job
from ledger.turn_steps import TurnClaimed, TurnNotOurs
from messaging import queue_commands
from messaging.command import Command
from messaging.command_runner import BlockingRunner
from messaging.delivery import Delivery
from messaging.queue_commands import MAX_CRASHES, Pulse
from schemas.call import Outcome
from schemas.chat_job import ChatJob
from schemas.job_result import JobError, JobResult
from schemas.tool import Effect
from schemas.wire import parse_call_id, parse_turn_id
from tests.simulated_steps import (
    OTHER_POOL,
    POOL,
    Asked,
    accept_command,
    claim_call_command,
    claim_turn_command,
    fan_out_command,
    finish_command,
    message_of,
    open_call,
    outcome_command,
)
from tests.snapshot import FOR_EVER, Snapshot

T = TypeVar("T")

NAMESPACE: Final = "{trunkline}"
ORCHESTRATOR: Final = "orchestrator"
INTAKE: Final = "intake"
QUEUES: Final = (ORCHESTRATOR, INTAKE, POOL, OTHER_POOL)
NOTICE: Final = (ORCHESTRATOR, "answer_dead_letter")
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=5)
CHECK_INTERVAL: Final = timedelta(milliseconds=500)
_TIMED_ZSETS: Final = {"jobs:active", "__workers__", "__heartbeats__", "__gone__", "catalogue:seen"}


class Simulation:
    """Everything a test tells a deployment to do.

    Args:
        client: A blocking client of an empty Redis.
        rules: What the deployment accepts.
    """

    def __init__(self, client: "redis.Redis", rules: AcceptanceRules | None = None) -> None:
        self.redis: Any = client  # its methods are typed for both kinds of answers and both kinds of clients
        self.rules = rules or AcceptanceRules()
        self.runner = BlockingRunner(client, namespace=NAMESPACE)
        self._workers = self._copies = 0

    def run(self, command: Command[T]) -> T:
        """Sends a command."""
        return self.runner.run(command)

    def changes_nothing(self, command: Command[T]) -> T:
        """Sends a command that may change nothing but counters."""
        before = self.content()
        answer = self.run(command)
        assert self.content() == before
        return answer

    # Workers and messages

    def hire(self, *queues: str) -> str:
        """A new worker joins the living; answers its id."""
        self._workers += 1
        worker = f"worker-{self._workers}"
        self.run(queue_commands.register(worker, {"worker": worker}, queues or QUEUES))
        return worker

    def beat(self, *workers: str) -> Pulse:
        """A process beats for these workers, and does its rounds."""
        command = queue_commands.beat(workers, heartbeat_timeout=HEARTBEAT_TIMEOUT, check_interval=CHECK_INTERVAL)
        return self.run(command)

    def fetch(self, worker: str, queue: str = ORCHESTRATOR) -> Delivery | None:
        """The next message of a queue, or None."""
        fetched = self.run(queue_commands.fetch(worker, queue, 1))
        for delivery in fetched.deliveries:
            delivery.enqueued_us = message_of(delivery)["options"].get("enqueued_us", 0)
        return fetched.deliveries[0] if fetched.deliveries else None

    def must_fetch(self, worker: str, queue: str = ORCHESTRATOR) -> Delivery:
        """The next message of a queue, which has one."""
        delivery = self.fetch(worker, queue)
        assert delivery is not None, f"{queue} is empty"
        return delivery

    def deliver_again(self, delivery: Delivery) -> str:
        """Puts a message with the same content into its queue, as a producer that is not sure does; answers its id."""
        self._copies += 1
        id = f"copy-{self._copies}"
        self.run(queue_commands.enqueue([(delivery.queue, id, delivery.body, None)]))
        return id

    def crash(self, worker: str) -> int:
        """A worker's process dies, and its supervisor says so; answers how many messages went back."""
        return self.run(queue_commands.leave(worker, died=True))

    def crash_often(self, queue: str) -> Delivery:
        """The next message of a queue, after as many workers died with it as may."""
        for _ in range(MAX_CRASHES):
            worker = self.hire()
            self.must_fetch(worker, queue)
            assert self.crash(worker) == 1
        return self.must_fetch(self.hire(), queue)

    def make_silent(self, worker: str) -> None:
        """A worker has not beaten for longer than the heartbeat time-out, and nobody has noticed yet."""
        seconds, _ = self.redis.time()
        self.redis.zadd(self.key("__workers__"), {worker: 0}, xx=True)
        recovery = {"checked_ms": (seconds - 2) * 1000, "grace_until_ms": 0}
        self.redis.hset(self.key("__recovery__"), mapping=recovery)

    def let_time_pass(self, duration: timedelta) -> None:
        """Moves every time that is kept in Redis into the past, which looks the same as waiting."""
        ms = round(duration / timedelta(milliseconds=1))
        pipeline = self.redis.pipeline()
        for raw in self.redis.scan_iter(match=f"{NAMESPACE}:*".replace("[", "\\["), count=1000):
            name = raw.decode().removeprefix(f"{NAMESPACE}:")
            if name in _TIMED_ZSETS or name.endswith((":schedule", ".XQ")):
                for member, score in self.redis.zrange(raw, 0, -1, withscores=True):
                    pipeline.zadd(raw, {member: score - ms})
            elif name.startswith("job:") and name.count(":") == 1:
                if deadline := self.redis.hget(raw, "deadline_ms"):
                    pipeline.hset(raw, "deadline_ms", str(int(deadline) - ms))
            elif name.startswith("job:") and name.endswith(":calls"):
                for field, value in self.redis.hgetall(raw).items():
                    if field.endswith(b":claim"):
                        claim, _, claimed_us = value.rpartition(b"|")
                        pipeline.hset(raw, field, b"%s|%d" % (claim, int(claimed_us) - ms * 1000))
            elif name == "__recovery__":
                for field, value in self.redis.hgetall(raw).items():
                    pipeline.hset(raw, field, str(int(value) - ms))
            if (ttl_ms := self.redis.pttl(raw)) > 0:
                pipeline.pexpire(raw, ttl_ms - ms)
        pipeline.execute()

    # Jobs

    def submit(self, content: str = "hello", *, key: str | None = None, **terms: Any) -> Acceptance:
        """Hands a job in, whatever becomes of it."""
        job = ChatJob.model_validate({"messages": ({"role": "user", "content": content},), **terms})
        return self.run(accept(job, self.rules, idempotency_key=key))

    def accept(self, content: str = "hello", *, key: str | None = None, **terms: Any) -> Accepted:
        """Hands a job in that is accepted."""
        accepted = self.submit(content, key=key, **terms)
        assert isinstance(accepted, Accepted), accepted
        return accepted

    def send_job(self, content: str = "hello", **terms: Any) -> str:
        """An upstream system sends an `accept_job` message; answers its id."""
        self._copies += 1
        id = f"upstream-{self._copies}"
        job = {"messages": [{"role": "user", "content": content}], **terms}
        body = {
            "queue_name": INTAKE,
            "actor_name": "accept_job",
            "args": [],
            "kwargs": {"job": job},
            "options": {"redis_message_id": id},
            "message_id": id,
            "message_timestamp": 0,
        }
        self.run(queue_commands.enqueue([(INTAKE, id, json.dumps(body).encode(), None)]))
        return id

    def take_in(self, delivery: Delivery) -> Acceptance:
        """The orchestrator accepts the job of an `accept_job` message."""
        return self.run(accept_command(delivery, self.rules))

    def result(self, job_id: str) -> JobResult:
        """How a job stands."""
        result = self.run(read_job(job_id))
        assert result is not None, f"{job_id} is gone"
        return result

    # Turns

    def claim_turn(self, delivery: Delivery) -> TurnClaimed | TurnNotOurs:
        """Takes the turn that a message is about."""
        return self.run(claim_turn_command(delivery))

    def fan_out(self, delivery: Delivery, calls: Sequence[Asked], *, content: str | None = None) -> bool:
        """The model asked for calls."""
        return self.run(fan_out_command(delivery, calls, content=content))

    def finish(self, delivery: Delivery, answer: str = "done") -> bool:
        """The model answered."""
        return self.run(finish_command(delivery, answer))

    def begin_turn(self, worker: str) -> Delivery:
        """Fetches and claims the next turn."""
        delivery = self.must_fetch(worker)
        claim = self.claim_turn(delivery)
        assert isinstance(claim, TurnClaimed), claim
        return delivery

    # Calls

    def claim_call(self, delivery: Delivery) -> CallClaimed | CallPostponed | CallNotOurs:
        """Takes the call that a message is about."""
        return self.run(claim_call_command(delivery))

    def begin_call(self, worker: str, queue: str = POOL) -> Delivery:
        """Fetches and claims the next call of a pool."""
        delivery = self.must_fetch(worker, queue)
        claim = self.claim_call(delivery)
        assert isinstance(claim, CallClaimed), claim
        return delivery

    def answer(self, delivery: Delivery, content: str = "found", **facts: Any) -> bool:
        """The tool succeeded."""
        return self.run(outcome_command(delivery, content, **facts))

    def accept_with_call(self, effect: Effect = "read") -> tuple[Accepted, str]:
        """A job with one call on its way, and a worker."""
        job, worker = self.accept(), self.hire()
        assert self.fan_out(self.begin_turn(worker), [open_call(effect=effect)])
        return job, worker

    # To the end

    def drain(
        self,
        *,
        take_turn: Callable[[Delivery], object] | None = None,
        queues: Sequence[str] = QUEUES,
        patience: timedelta = timedelta(minutes=1),
    ) -> None:
        """Lets one honest worker do everything there is to do, and what is to come within `patience`.

        Args:
            take_turn: What it does with a turn that it claimed; by default the model answers.
            queues: What it serves.
            patience: How much time may pass; what is due later stays undone.
        """
        worker = self.hire(*queues)
        while True:
            while self._work_once(worker, queues, take_turn or self.finish):
                pass
            pulse = self.beat(worker)
            if any(self.waiting(queue) for queue in queues):
                continue  # just promoted
            if pulse.next_due_ms is None:
                break
            wait = timedelta(milliseconds=pulse.next_due_ms - pulse.now_us // 1000 + 1)
            patience -= wait
            if patience < timedelta(0):
                break
            self.let_time_pass(wait)
        self.run(queue_commands.leave(worker, died=False))

    def _work_once(self, worker: str, queues: Sequence[str], take_turn: Callable[[Delivery], object]) -> bool:
        deliveries = [delivery for queue in queues if (delivery := self.fetch(worker, queue))]
        for delivery in deliveries:
            self._process(delivery, take_turn)
        return bool(deliveries)

    def _process(self, delivery: Delivery, take_turn: Callable[[Delivery], object]) -> None:
        message = message_of(delivery)
        match message["actor_name"]:
            case "take_turn":
                if isinstance(self.claim_turn(delivery), TurnClaimed):
                    take_turn(delivery)
            case "perform_tool_call":
                if isinstance(self.claim_call(delivery), CallClaimed):
                    self.answer(delivery, "honest work")
            case "accept_job":
                self.take_in(delivery)
            case "expire_job":
                self.run(job_end.expire_job(delivery, message["kwargs"]["job_id"]))
            case "answer_dead_letter":
                self.answer_dead_letter(message["kwargs"]["message_id"])
                self.run(queue_commands.settle([delivery], "ack"))
            case unknown:
                raise AssertionError(f"{delivery.id} is for {unknown}")

    def answer_dead_letter(self, message_id: str) -> None:
        """What the orchestrator does when it hears of a dead letter."""
        purpose, _, _ = message_id.partition("~")
        if call := parse_call_id(purpose):
            job_id, turn, index = call
            outcome = Outcome(kind="failed", content="The call could not be processed.")
            self.run(call_steps.record_outcome(None, job_id=job_id, turn=turn, index=index, outcome=outcome))
        elif step := parse_turn_id(purpose):
            error = JobError(code="undeliverable", message="the turn could not be processed")
            self.run(job_end.fail_turn(step[0], turn=step[1], error=error))

    # Looking

    def key(self, name: str) -> str:
        """A key's whole name."""
        return f"{NAMESPACE}:{name}"

    def record(self, job_id: str) -> dict[str, str]:
        """The record of a job."""
        return {k.decode(): v.decode() for k, v in self.redis.hgetall(self.key(f"job:{job_id}")).items()}

    def state(self, job_id: str) -> str:
        """The state of a job; empty if there is no such job."""
        return (self.redis.hget(self.key(f"job:{job_id}"), "state") or b"").decode()

    def has_overdue_jobs(self) -> bool:
        """Whether a job that has not ended is past its deadline."""
        seconds, _ = self.redis.time()
        return bool(self.redis.zcount(self.key("jobs:active"), "-inf", seconds * 1000))

    def call(self, job_id: str, place: str = "1/0") -> dict[str, str]:
        """What the ledger has of a call, `turn/index`."""
        fields = self.redis.hgetall(self.key(f"job:{job_id}:calls"))
        return {
            k.decode().partition(":")[2]: v.decode() for k, v in fields.items() if k.decode().startswith(f"{place}:")
        }

    def messages(self, conversation_id: str) -> list[dict[str, Any]]:
        """The conversation so far."""
        return [json.loads(m) for m in self.redis.lrange(self.key(f"conversation:{conversation_id}:messages"), 0, -1)]

    def events(self, job_id: str, *types: str) -> list[dict[str, Any]]:
        """The data of a job's events, all or of some types, with their type."""
        entries = [
            {"type": fields[b"type"].decode(), **json.loads(fields[b"data"])}
            for _, fields in self.redis.xrange(self.key(f"job:{job_id}:events"))
        ]
        return [entry for entry in entries if not types or entry["type"] in types]

    def counter(self, name: str) -> int:
        """What was refused or repaired so often."""
        return int(self.redis.hget(self.key("counters"), name) or 0)

    def waiting(self, queue: str = ORCHESTRATOR) -> list[str]:
        """The ids that wait in a queue, in order."""
        return [id.decode() for id in self.redis.lrange(self.key(queue), 0, -1)]

    def scheduled(self, queue: str = ORCHESTRATOR) -> list[str]:
        """The ids that are scheduled, in order."""
        return [id.decode() for id in self.redis.zrange(self.key(f"{queue}:schedule"), 0, -1)]

    def dead(self, queue: str = ORCHESTRATOR) -> dict[str, Any]:
        """The dead letters, with their causes."""
        causes = self.redis.hgetall(self.key(f"{queue}.XQ.causes"))
        return {id.decode(): json.loads(cause) for id, cause in causes.items()}

    def owns(self, delivery: Delivery) -> bool:
        """Whether this delivery's worker still owns its message."""
        held = self.redis.sismember(self.key(f"__acks__.{delivery.worker}.{delivery.queue}"), delivery.id)
        token = self.redis.hget(self.key(f"{delivery.queue}:deliveries"), delivery.id)
        return bool(held) and token == delivery.token.encode()

    def content(self) -> dict[str, object]:
        """Everything in Redis but what is counted."""
        keys = Snapshot.take(self.redis, NAMESPACE).keys
        return {name: key.content for name, key in keys.items() if name != "counters"}

    def ttl_of(self, name: str) -> timedelta:
        """How long a key has left, which must expire."""
        ttl_ms = self.redis.pttl(self.key(name))
        assert ttl_ms != FOR_EVER, f"{name} does not expire"
        return timedelta(milliseconds=ttl_ms)
