"""The scripts of ledger and queues, driven in random order by workers that crash, pause, repeat and come too late.

The model is not the scripts once more: it knows what each worker was told, and what may be true after that. At every
moment the raw ledger must keep its promises and must not lose what it had recorded; in the end an honest worker does
what is left, and everything must be at rest.

The default run is the same every time. To search further, raise `EXAMPLES` and take `derandomize` out.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import isqrt
from typing import Any, Final, Literal, TypeVar

import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from pydantic import TypeAdapter

from ledger import call_steps, job_end, turn_steps
from ledger.accepting import Acceptance, Accepted, Refused
from ledger.call_steps import CallClaimed
from ledger.job_end import Ended
from ledger.sweeping import sweep
from ledger.turn_steps import TurnClaimed
from messaging import queue_commands
from messaging.command import Command
from messaging.delivery import Delivery
from messaging.limits import QueueLimits, set_queue_limits
from messaging.queue_commands import MAX_CRASHES
from schemas.conversation import Message, problem_with
from schemas.job_result import JobError
from schemas.tool import Effect
from tests.promises import violations_in
from tests.simulated_steps import (
    OTHER_POOL,
    POOL,
    Asked,
    accept_command,
    call_of,
    claim_call_command,
    claim_turn_command,
    fan_out_command,
    finish_command,
    message_of,
    open_call,
    outcome_command,
    refused_call,
    retry_call_command,
    retry_turn_command,
    turn_of,
)
from tests.simulation import NAMESPACE, NOTICE, ORCHESTRATOR, QUEUES, Simulation
from tests.snapshot import Snapshot

T = TypeVar("T")

EXAMPLES: Final = 60
STEPS: Final = 80

_SHORT: Final = timedelta(minutes=5)
_PAUSE: Final = timedelta(minutes=1)
_TENANTS: Final = ("acme", "umbrella")
_MOST_JOBS: Final = 4
_MOST_TURNS: Final = 3
_MOST_COPIES: Final = 8
_MESSAGE: Final = TypeAdapter[Any](Message)

#: What the model may ask for in one turn: pool and effect of each call, or that it is refused.
_MIXTURES: Final[Sequence[Sequence[tuple[str, Effect | Literal["refused"]]]]] = (
    [(POOL, "unsafe")],
    [(POOL, "read"), (OTHER_POOL, "unsafe")],
    [(OTHER_POOL, "unsafe"), (OTHER_POOL, "refused"), (OTHER_POOL, "idempotent")],
    [(POOL, "unsafe"), (POOL, "unsafe"), (POOL, "read")],
    [(POOL, "refused")],
    [(POOL, "idempotent")],
)
Action = st.sampled_from(
    [
        *("work",) * 12,
        *("fetch",) * 6,
        *("hand_in",) * 2,
        "crash",
        "hang_until_declared_dead",
        "give_back",
        "break_off",
        *("deliver_again",) * 2,
        "send_again",
        "cancel",
        "let_time_pass",
        "beat",
        "sweep",
        "hand_in_again",
        "hand_in_something_else",
        "send_a_job",
    ]
)
"""One rule chooses, since Hypothesis would leave some rules out of most examples, and half a system does nothing."""


@dataclass(frozen=True, slots=True)
class Dice:
    """What decides, within an action."""

    number: int
    """Picks one of whatever there is, by the remainder."""
    chance: int
    """0 to 9; what is drawn most often, 0, is what happens most often."""
    flag: bool


AnyDice = st.builds(Dice, number=st.integers(0, 59), chance=st.integers(0, 9), flag=st.booleans())


@dataclass(eq=False)
class Seat:
    """Where a worker sits; after its crash another one, under a new id."""

    worker: str


@dataclass(eq=False)
class Hand:
    """A delivery in the hands of a worker, or of the ghost of one."""

    seat: Seat
    delivery: Delivery
    actor: str
    stage: Literal["fetched", "claimed", "over"] = "fetched"
    owned: bool = True
    """Nobody has taken the message away."""
    has_run: bool = False
    sent: Command[Any] | None = None
    """The last command, to be sent again as if its answer had been lost."""
    answer: object = None

    @property
    def job_id(self) -> str:
        return str(message_of(self.delivery)["kwargs"]["job_id"])

    @property
    def step(self) -> str:
        """What it works on: `job/turn` or `job/turn/index`."""
        kwargs = message_of(self.delivery)["kwargs"]
        return "/".join(str(kwargs[name]) for name in ("job_id", "turn", "index") if name in kwargs)


@dataclass
class Recorded:
    """What the ledger said at some time, and may not take back."""

    states: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    messages: dict[str, list[str]] = field(default_factory=dict)


class LedgerMachine(RuleBasedStateMachine):
    """Three seats, many hands, one ledger."""

    client: "redis.Redis"

    def __init__(self) -> None:
        super().__init__()
        self.client.flushdb()
        self.simulation = Simulation(self.client)
        self.seats: list[Seat] = []
        self.hands: list[Hand] = []
        self.over: list[Hand] = []
        self.recorded = Recorded()
        self.snapshot = Snapshot(NAMESPACE, {})
        """The present: taken after each rule."""
        self.must_not_change = False
        """Whether the present rule may change nothing in Redis, besides counting."""
        self.conversations: dict[str, str] = {}
        """With their tenants."""
        self.submitted: dict[str, tuple[dict[str, Any], Accepted]] = {}
        """By idempotency key: what was handed in, and what it became."""
        self.taken_in: dict[str, str] = {}
        """By id of an upstream's message: the job that it became."""
        self.jobs = self.copies = 0
        self.crashes: Counter[str] = Counter()
        """By message: its deliveries that died, or broke, and count."""
        self.company: dict[str, int] = {}
        """By message that died with others at their last chance: how many of them a worker may hold."""
        self.deeds: dict[str, int] = {}
        """By call: how often the effect of an unsafe tool may have happened."""
        self.done: set[str] = set()
        """Turns and calls of which a worker was told that it has done them."""
        self.told: dict[str, str] = {}
        """By job: the end that somebody was told of."""
        self.may_end: set[tuple[str, str]] = set()
        """What the present rule may end, and how."""
        self.passed = timedelta(0)

    @initialize()
    def open_for_business(self) -> None:
        self.seats = [Seat(self.simulation.hire()) for _ in range(3)]
        self.simulation.run(set_queue_limits(POOL, QueueLimits(fair=True)))  # so that half of the calls wait in lanes

    @rule(action=Action, dice=AnyDice)
    def something_happens(self, action: str, dice: Dice) -> None:
        """What was to be expected, mostly."""
        if action == "work" and not self.hands:
            action = "fetch"
        if action == "fetch" and not self._busy_queues():
            action = "work" if self.hands else "hand_in"
        getattr(self, f"_{action}")(dice)

    def _hand_in(self, dice: Dice) -> None:
        """A new conversation, or the next job of one, which waits or will not."""
        if self.jobs >= _MOST_JOBS:
            return
        self.jobs += 1
        content = f"job {self.jobs}"
        waits = dice.chance != 3
        terms: dict[str, Any] = {"if_busy": "wait" if waits else "refuse"}
        if dice.flag:
            terms["timeout_ms"] = _ms(_SHORT)
            terms["reply_to"] = {"queue": "reply.upstream", "actor": "hear"}
        if self.conversations and dice.number % 2:
            terms["conversation_id"] = _pick(sorted(self.conversations), dice)
        tenant = self.conversations.get(terms.get("conversation_id", ""), _pick(_TENANTS, dice))
        terms["caller"] = {"tenant": tenant}
        terms["priority"] = "batch" if dice.chance == 4 else "interactive"
        is_busy = self._is_busy(terms.get("conversation_id"))
        acceptance = self.simulation.submit(content, key=content, **terms)
        if is_busy and not waits:
            assert isinstance(acceptance, Refused)
            assert acceptance.code == "conversation_busy"
            return
        assert isinstance(acceptance, Accepted)
        assert not acceptance.was_known
        self._note_accepted(acceptance, tenant)
        self.submitted[content] = terms, acceptance

    def _fetch(self, dice: Dice) -> None:
        """A worker fetches from one of the queues in which something waits."""
        seat = self.seats[dice.chance % len(self.seats)]
        queue = _pick(self._busy_queues(), dice)
        delivery = self.simulation.fetch(seat.worker, queue)
        if delivery is None:  # what waits died in company, and has its worker to itself, or nearly
            held = [hand.delivery.id for hand in self.hands if hand.seat is seat and hand.owned]
            assert not self.company.keys().isdisjoint(held), "whatever waits may start"
            return
        assert delivery.crashes == self.crashes[delivery.id]
        self.hands.append(Hand(seat, delivery, message_of(delivery)["actor_name"]))

    def _work(self, dice: Dice) -> None:
        """A worker, or its ghost, goes one step on with a message in its hands."""
        hand = _pick(self.hands, dice)
        match hand.actor, hand.stage:
            case "take_turn" | "perform_tool_call", "fetched" if dice.chance == 7 and not _is_copy(hand):
                self._bury(hand)
            case "take_turn", "fetched":
                self._claim_turn(hand)
            case "take_turn", _:
                self._end_turn(hand, dice)
            case "perform_tool_call", "fetched":
                self._claim_call(hand)
            case "perform_tool_call", _:
                self._go_on_with_call(hand, dice)
            case "expire_job", _:
                self._expire(hand)
            case "accept_job", _:
                self._accept(hand)
            case _:
                self._hear_of_dead_letter(hand)

    # What must hold

    @invariant()
    def promises_hold_and_what_was_recorded_stays(self) -> None:
        past, self.snapshot = self.snapshot, Snapshot.take(self.client, NAMESPACE)
        snapshot = self.snapshot
        assert not self.must_not_change or _content(snapshot) == _content(past)
        self.must_not_change = False
        violations = violations_in(snapshot, quiescent=False)
        assert not violations, violations
        recorded = self.recorded
        for id, job in snapshot.jobs.items():
            before = recorded.states.get(id, "waiting")
            if before not in ("waiting", "running"):
                assert job.state == before, f"{id} ended twice"
            elif job.has_ended:
                assert (id, job.state) in self.may_end, f"{id} is {job.state}, for no reason"
            recorded.states[id] = job.state
            assert len(job.events) >= recorded.events.get(id, 0), f"{id} lost events"
            recorded.events[id] = len(job.events)
            for call in job.calls:
                if call.outcome:
                    outcome = (call.outcome, json.loads(call.fields["content"]))
                    assert recorded.outcomes.setdefault(f"{id}/{call.place}", outcome) == outcome
        for id in snapshot.conversations:
            messages = snapshot.get(f"conversation:{id}:messages", [])
            so_far = recorded.messages.get(id, [])
            assert messages[: len(so_far)] == so_far, f"{id} was rewritten"
            recorded.messages[id] = messages
        self.may_end.clear()

    def teardown(self) -> None:
        """What is left is done by one honest worker; then everything is at rest, and as everybody was told."""
        if not self.seats:
            return
        for seat in self.seats:
            self.simulation.run(queue_commands.leave(seat.worker, died=False))
        self.simulation.drain(patience=_SHORT)
        snapshot = Snapshot.take(self.client, NAMESPACE)
        violations = violations_in(snapshot)
        assert not violations, violations
        for id, job in snapshot.jobs.items():
            if id in self.told:
                assert job.state == self.told[id]
            elif job.state == "expired":
                assert "timeout_ms" in job.record["spec"] or self.passed > timedelta(minutes=50)
            else:
                assert job.state in ("completed", "failed"), f"{id} is {job.state}, and nobody was told"
            for call in job.calls:
                outcome = (call.outcome, json.loads(call.fields["content"]))
                assert self.recorded.outcomes.get(f"{id}/{call.place}", outcome) == outcome

    # Interference

    def _crash(self, dice: Dice) -> None:
        seat: Seat = _pick(self.seats, dice)
        assert self.simulation.crash(seat.worker) == self._lose_everything(seat)
        seat.worker = self.simulation.hire()

    def _hang_until_declared_dead(self, dice: Dice) -> None:
        seat: Seat = _pick(self.seats, dice)
        self.simulation.make_silent(seat.worker)
        others = [other.worker for other in self.seats if other is not seat]
        assert self.simulation.beat(*others).released == self._lose_everything(seat)
        assert not self.simulation.beat(seat.worker).workers[0].alive
        self.simulation.run(queue_commands.leave(seat.worker, died=False))
        seat.worker = self.simulation.hire()

    def _give_back(self, dice: Dice) -> None:
        self._let_go(dice, "give_back")

    def _break_off(self, dice: Dice) -> None:
        self._let_go(dice, "break")

    def _let_go(self, dice: Dice, how: Literal["give_back", "break"]) -> None:
        """The message goes, but whoever worked on it may go on: a thread that cannot be stopped."""
        if not self.hands:
            return
        hand = _pick(self.hands, dice)
        self.must_not_change = not hand.owned
        settled = self.simulation.run(queue_commands.settle([hand.delivery], how, _ms(_PAUSE)))
        assert settled == hand.owned
        if hand.owned and how == "break":
            self._count_crash(hand.delivery.id)
        hand.owned = False

    def _deliver_again(self, dice: Dice) -> None:
        hands = [hand for hand in self.hands if hand.stage == "claimed"] or [*self.hands, *self.over[-2:]]
        if self.copies < _MOST_COPIES and hands:
            self.copies += 1
            self.simulation.deliver_again(_pick(hands, dice).delivery)

    def _send_again(self, dice: Dice) -> None:
        """A worker did not get the answer to its last command, and sends it again."""
        senders = [(hand, hand.sent) for hand in [*self.hands, *self.over] if hand.sent]
        if not senders:
            return
        hand, command = _pick(senders, dice)
        if hand.stage == "over":
            self.must_not_change = True
            assert not isinstance(self.simulation.run(command), TurnClaimed | CallClaimed | Ended)
        elif hand.owned and self._is_open(hand):
            self.must_not_change = True
            again = self.simulation.run(command)
            assert _without_time(again) == _without_time(hand.answer), f"{again} instead of {hand.answer}"

    def _cancel(self, dice: Dice) -> None:
        if not self.recorded.states or dice.number % 4 != 1:
            return
        job_id = _pick(sorted(self.recorded.states), dice)
        was_alive = not self.snapshot.jobs[job_id].has_ended
        self.may_end.add((job_id, "cancelled"))
        self.must_not_change = not was_alive
        answer = self.simulation.run(job_end.cancel_job(job_id, reason="the test wants it"))
        assert isinstance(answer, Ended) == was_alive
        self._note_end(answer, job_id)

    def _let_time_pass(self, dice: Dice) -> None:
        duration = timedelta(minutes=6 if dice.number % 5 == 3 else 1.1)
        self.passed += duration
        self.simulation.let_time_pass(duration)
        self._beat(dice)

    def _beat(self, dice: Dice) -> None:
        pulse = self.simulation.beat(*(seat.worker for seat in self.seats))
        for seat, worker in zip(self.seats, pulse.workers, strict=True):
            assert worker.alive
            assert worker.held == sum(hand.owned for hand in self.hands if hand.seat is seat)

    def _sweep(self, dice: Dice) -> None:
        # An expiry that nobody has looked at in time, and a dead letter that nobody has heard of yet, it may repair.
        if not self.simulation.has_overdue_jobs() and not self._a_notice_is_on_its_way():
            self.must_not_change = True
            assert self.simulation.run(sweep(0)).repaired == 0

    def _hand_in_again(self, dice: Dice) -> None:
        if self.submitted:
            content = _pick(sorted(self.submitted), dice)
            terms, accepted = self.submitted[content]
            self.must_not_change = True
            again = self.simulation.submit(content, key=content, **terms)
            assert again == replace(accepted, was_known=True)

    def _hand_in_something_else(self, dice: Dice) -> None:
        if self.submitted:
            key = _pick(sorted(self.submitted), dice)
            self.must_not_change = True
            terms, _ = self.submitted[key]
            refused = self.simulation.submit("something else", key=key, caller=terms["caller"])
            assert isinstance(refused, Refused)
            assert refused.code == "idempotency_conflict"
            assert self.submitted[key][1].job_id in refused.reason

    def _send_a_job(self, dice: Dice) -> None:
        if self.jobs < _MOST_JOBS:
            self.jobs += 1
            self.simulation.send_job(reply_to={"queue": "reply.upstream", "actor": "hear"})

    # Turns

    def _claim_turn(self, hand: Hand) -> None:
        if hand.delivery.crashes >= MAX_CRASHES:
            self.may_end.add((hand.job_id, "failed"))
        self.must_not_change = not hand.owned
        claim = self._send(hand, claim_turn_command(hand.delivery))
        if isinstance(claim, TurnClaimed):
            self._begin(hand)
            problem = problem_with([_MESSAGE.validate_json(message) for message in claim.messages])
            assert problem is None, f"the model is sent what it cannot accept: {problem}"
        else:
            self._end(hand)

    def _end_turn(self, hand: Hand, dice: Dice) -> None:
        job_id, turn = turn_of(hand.delivery)
        if dice.chance in (4, 5):
            retry = retry_turn_command(hand.delivery, delay_ms=_ms(_PAUSE), called=dice.chance == 4)
            self._turn_step(hand, retry, is_last=False)
        elif dice.chance == 6:
            error = JobError(code="model_error", message="it said no")
            failure = turn_steps.finish_job(hand.delivery, job_id=job_id, turn=turn, state="failed", error=error)
            self._turn_step(hand, failure, end="failed")
        elif dice.chance == 7 or turn >= _MOST_TURNS:
            self._turn_step(hand, finish_command(hand.delivery), end="completed")
        else:
            asked: list[Asked] = [
                refused_call(f"call_{index}")
                if effect == "refused"
                else open_call(f"call_{index}", effect=effect, pool=pool)
                for index, (pool, effect) in enumerate(_pick(_MIXTURES, dice))
            ]
            self._turn_step(hand, fan_out_command(hand.delivery, asked))

    def _turn_step(self, hand: Hand, command: Command[bool], *, end: str | None = None, is_last: bool = True) -> None:
        allowed = hand.owned and self._is_running(hand.job_id)
        if end and allowed:
            self.may_end.add((hand.job_id, end))
        self.must_not_change = not hand.owned
        assert self._send(hand, command) == allowed
        if allowed and is_last:
            self._note_done(hand)
        if allowed and end:
            self.told[hand.job_id] = end
        self._end(hand)

    # Calls

    def _claim_call(self, hand: Hand) -> None:
        self.must_not_change = not hand.owned
        claim = self._send(hand, claim_call_command(hand.delivery))
        if isinstance(claim, CallClaimed):
            self._begin(hand)
        else:
            self._end(hand)

    def _go_on_with_call(self, hand: Hand, dice: Dice) -> None:
        may_say_not_done = not hand.has_run or self._call(hand)["effect"] != "unsafe"
        if dice.chance == 5:
            self._report_progress(hand)
        elif dice.chance == 6 and may_say_not_done:
            self._retry_call(hand)
        elif not hand.has_run:
            self._run_tool(hand)
        else:
            self._record_outcome(hand, is_large=dice.chance > 7)

    def _run_tool(self, hand: Hand) -> None:
        hand.has_run = True
        if self._call(hand)["effect"] == "unsafe":
            self.deeds[hand.step] = self.deeds.get(hand.step, 0) + 1
            assert self.deeds[hand.step] == 1, f"the deed {hand.step} was done twice"

    def _record_outcome(self, hand: Hand, *, is_large: bool) -> None:
        is_open = self._is_open(hand)
        content = f"by {hand.delivery.worker} under {hand.delivery.token}"
        command = outcome_command(hand.delivery, content, stored_result="x" * 100 if is_large else None)
        self.must_not_change = not (hand.owned or is_open)
        assert self._send(hand, command) == is_open
        if is_open:
            self._note_done(hand)
            self.recorded.outcomes[hand.step] = ("succeeded", content)
        self._end(hand)

    def _retry_call(self, hand: Hand) -> None:
        allowed = hand.owned and self._is_open(hand)
        self.must_not_change = not hand.owned
        assert self._send(hand, retry_call_command(hand.delivery, delay=_PAUSE)) == allowed
        self._end(hand)

    def _report_progress(self, hand: Hand) -> None:
        is_open = self._is_open(hand)
        command = call_steps.record_progress(**call_of(hand.delivery), message="half of it", fraction=0.5)
        self.must_not_change = not is_open
        assert self.simulation.run(command) == is_open

    # Other messages

    def _bury(self, hand: Hand) -> None:
        command = queue_commands.bury(hand.delivery, reason="unreadable", error="it does not fit", notice=NOTICE)
        self.must_not_change = not hand.owned
        assert self.simulation.run(command) == hand.owned
        self._end(hand)

    def _expire(self, hand: Hand) -> None:
        self.may_end.add((hand.job_id, "expired"))
        self.must_not_change = not hand.owned
        answer = self._send(hand, job_end.expire_job(hand.delivery, hand.job_id))
        self._note_end(answer, hand.job_id)
        self._end(hand)

    def _accept(self, hand: Hand) -> None:
        self.must_not_change = not hand.owned
        acceptance: Acceptance = self._send(hand, accept_command(hand.delivery, self.simulation.rules))
        assert isinstance(acceptance, Accepted) == hand.owned
        if isinstance(acceptance, Accepted):
            message_id = message_of(hand.delivery)["message_id"]
            assert acceptance.was_known == (message_id in self.taken_in)
            assert self.taken_in.setdefault(message_id, acceptance.job_id) == acceptance.job_id
            self._note_accepted(acceptance, "default")
        self._end(hand)

    def _hear_of_dead_letter(self, hand: Hand) -> None:
        message_id = message_of(hand.delivery)["kwargs"]["message_id"]
        self.may_end.add((message_id.partition("/")[0], "failed"))
        self.simulation.answer_dead_letter(message_id)
        assert self.simulation.run(queue_commands.settle([hand.delivery], "ack")) == hand.owned
        self._end(hand)

    # What the model knows

    def _send(self, hand: Hand, command: Command[Any]) -> Any:
        hand.sent = command
        hand.answer = self.simulation.run(command)
        return hand.answer

    def _begin(self, hand: Hand) -> None:
        """A claim was granted: then nobody else may be at work on the same step."""
        assert hand.owned, f"{hand.step} was granted to a worker that had lost its message"
        assert hand.delivery.crashes < MAX_CRASHES, (
            f"{hand.step} was granted though it had killed {MAX_CRASHES} workers"
        )
        assert hand.step not in self.done, f"{hand.step} was granted after it had been done"
        busy = [other.step for other in self.hands if other.owned and other.stage == "claimed"]
        assert hand.step not in busy, f"{hand.step} was granted to two workers"
        hand.stage = "claimed"

    def _end(self, hand: Hand) -> None:
        hand.stage, hand.owned = "over", False
        self.hands.remove(hand)
        self.over.append(hand)

    def _note_done(self, hand: Hand) -> None:
        assert hand.step not in self.done, f"{hand.step} was done twice"
        self.done.add(hand.step)

    def _note_end(self, answer: object, job_id: str) -> None:
        if isinstance(answer, Ended):
            assert job_id not in self.told, f"{job_id} ended twice"
            self.told[job_id] = answer.state

    def _note_accepted(self, accepted: Accepted, tenant: str) -> None:
        self.recorded.states.setdefault(accepted.job_id, "waiting")
        self.conversations[accepted.conversation_id] = tenant

    def _lose_everything(self, seat: Seat) -> int:
        """The messages of a seat's worker go back, and are counted; answers how many."""
        lost = [hand for hand in self.hands if hand.seat is seat and hand.owned]
        last_chances = [hand.delivery.id for hand in lost if self.crashes[hand.delivery.id] == MAX_CRASHES - 1]
        limited = self.company.keys() & last_chances
        for hand in lost:
            hand.owned = False
            id = hand.delivery.id
            died_with = len(limited if id in limited else last_chances)
            if id in last_chances and died_with > 1:
                self.company[id] = isqrt(died_with)
            else:
                self._count_crash(id)
        return len(lost)

    def _count_crash(self, id: str) -> None:
        self.crashes[id] += 1
        self.company.pop(id, None)

    def _is_running(self, job_id: str) -> bool:
        return self.snapshot.jobs[job_id].state == "running"

    def _is_open(self, hand: Hand) -> bool:
        """Whether what it works on has not ended otherwise."""
        if not self._is_running(hand.job_id):
            return False
        return hand.actor == "take_turn" or "outcome" not in self._call(hand)

    def _call(self, hand: Hand) -> Mapping[str, str]:
        job_id, _, place = hand.step.partition("/")
        return next(call.fields for call in self.snapshot.jobs[job_id].calls if call.place == place)

    def _is_busy(self, conversation_id: str | None) -> bool:
        return conversation_id is not None and bool(self.snapshot.conversations[conversation_id]["running"])

    def _a_notice_is_on_its_way(self) -> bool:
        return any("answer_dead_letter" in body for body in self.snapshot.queue(ORCHESTRATOR).bodies.values())

    def _busy_queues(self) -> list[str]:
        return [name for name in QUEUES if self.snapshot.queue(name).waiting]


def test_whatever_workers_do_the_ledger_keeps_its_promises(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as redis_client:

        class Machine(LedgerMachine):
            client = redis_client

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


def _is_copy(hand: Hand) -> bool:
    """Whether the message has an id of a producer's, which tells nobody what it was for."""
    return not hand.delivery.id.startswith("job_")


def _content(snapshot: Snapshot) -> dict[str, object]:
    """Everything but what is counted."""
    return {name: key.content for name, key in snapshot.keys.items() if name != "counters"}


def _without_time(answer: object) -> object:
    """A claim without the times in it, which `let_time_pass` moves."""
    return replace(answer, now_us=0, deadline_ms=0) if isinstance(answer, TurnClaimed | CallClaimed) else answer


def _ms(duration: timedelta) -> int:
    return round(duration / timedelta(milliseconds=1))


def _pick(choices: Sequence[T], dice: Dice) -> T:
    return choices[dice.number % len(choices)]
