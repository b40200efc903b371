"""The promises of the ledger, checked on what is really in Redis.

`check_promises` is what every test of the whole calls when it is done, or in the middle: it reads the raw ledger at
one instant and says, in sentences that name the job, the call or the key, what is not as promised. Promises that data
cannot show (how fast, how late, what a tool really did) are the tests' own. It must not use what it checks: no script
and no reader of `ledger` or `messaging`.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import redis
from pydantic import TypeAdapter, ValidationError

from schemas.call import OUTCOME_KINDS
from schemas.conversation import AssistantMessage, Message, ToolMessage, UserMessage, problem_with
from schemas.job_result import TERMINAL_STATES
from tests.snapshot import FOR_EVER, RawCall, RawEvent, RawJob, RawQueue, Snapshot

_ORCHESTRATOR: Final = "orchestrator"
_JOB_KEYS: Final = ("", ":calls", ":events", ":messages")
_MESSAGE: Final = TypeAdapter[Any](Message)

Violations = Iterator[str]


def check_promises(
    client: "redis.Redis",
    namespace: str = "{trunkline}",
    *,
    quiescent: bool = True,
    repaired: int = 0,
    replies_are_read: bool = False,
) -> list[str]:
    """What in a deployment is not as promised, each violation a sentence; empty if all is well.

    Args:
        client: A client of its Redis.
        namespace: Its key prefix, braces included.
        quiescent: Whether everything should be done: all jobs ended, nothing waiting, in flight or scheduled, except in
            reply queues and among the dead letters. Otherwise a system at work is judged.
        repaired: How many repairs of the sweeper are accounted for; in a correct system it finds nothing.
        replies_are_read: Whether somebody consumes the reply queues, so that answers need not be there any more.
    """
    snapshot = Snapshot.take(client, namespace)
    return violations_in(snapshot, quiescent=quiescent, repaired=repaired, replies_are_read=replies_are_read)


def violations_in(
    snapshot: Snapshot, *, quiescent: bool = True, repaired: int = 0, replies_are_read: bool = False
) -> list[str]:
    """`check_promises` on a snapshot that was taken before."""
    violations = [
        *(sentence for job in snapshot.jobs.values() for check in _OF_A_JOB for sentence in check(snapshot, job)),
        *(sentence for id in snapshot.conversations for sentence in _conversation(snapshot, id)),
        *(
            sentence
            for queue in snapshot.queues.values()
            for check in _OF_A_QUEUE
            for sentence in check(snapshot, queue)
        ),
        *_indexes(snapshot),
        *_feed(snapshot),
        *_replies(snapshot, replies_are_read=replies_are_read),
        *_repairs(snapshot, accounted_for=repaired),
    ]
    if quiescent:
        violations += _not_at_rest(snapshot)
    return violations


def assert_promises(client: "redis.Redis", namespace: str = "{trunkline}", **options: Any) -> None:
    """`check_promises`, as an assertion that shows all violations."""
    violations = check_promises(client, namespace, **options)
    assert not violations, "\n".join(["promises are broken:", *violations])


# Jobs: promise 1


def _ends_once(snapshot: Snapshot, job: RawJob) -> Violations:
    ended = job.of_type("job_ended")
    if job.state not in TERMINAL_STATES | {"waiting", "running"}:
        yield f"{job.id} is in no state that there is: {job.state!r}"
    if len(job.of_type("job_accepted")) != 1 or job.events[0].type != "job_accepted":
        yield f"{job.id} does not begin with its one job_accepted event"
    if not job.has_ended:
        if ended:
            yield f"{job.id} is {job.state}, but has a job_ended event"
        return
    if len(ended) != 1:
        yield f"{job.id} is {job.state} with {len(ended)} job_ended events"
        return
    if ended[0].data["state"] != job.state:
        yield f"{job.id} is {job.state}, but its job_ended event says {ended[0].data['state']}"
    if job.events[-1] is not ended[0]:
        yield f"{job.id} has events after its end: {[event.type for event in job.events[ended[0].position + 1 :]]}"
    if not int(job.record.get("ended_us", 0)):
        yield f"{job.id} is {job.state} without the time of its end"
    if ("error" in job.record) == (job.state == "completed"):
        yield f"{job.id} is {job.state} and has {'an' if 'error' in job.record else 'no'} error"


def _has_a_message(snapshot: Snapshot, job: RawJob) -> Violations:
    """Something will move every living job on: what the sweeper would look for, but at any moment."""
    orchestrator = snapshot.queue(_ORCHESTRATOR)
    notices = {
        kwargs.get("message_id")
        for kwargs in (orchestrator.kwargs_of(id) for id in [*orchestrator.bodies, *orchestrator.scheduled_bodies])
    }
    expiry = job.record.get("expiry_message")
    if job.has_ended:
        # One that was under way when the job ended, and broke off, comes once more.
        if expiry in orchestrator.scheduled and expiry not in orchestrator.crashes:
            yield f"{job.id} has ended, but its expiry message {expiry} is still scheduled"
        return
    if not orchestrator.has(expiry):
        yield f"{job.id} is {job.state}, but its expiry message {expiry} is gone: it could live for ever"
    if job.state == "waiting":
        return
    if job.record.get("phase") == "calls":
        for call in job.calls_of(job.turn):
            message = call.fields.get("message")
            on_its_way = message in notices or snapshot.queue(call.fields["pool"]).has(message)
            if call.outcome is None and not on_its_way:
                yield f"{job.id}/{call.place} is open, but its message {message} is gone"
    elif not orchestrator.has(job.record.get("turn_message")) and job.record.get("turn_message") not in notices:
        yield f"{job.id} is in turn {job.turn}, but its message {job.record.get('turn_message')} is gone"


# Calls: promises 2 and 6


def _calls_end_once(snapshot: Snapshot, job: RawJob) -> Violations:
    for call in job.calls:
        name = f"{job.id}/{call.place}"
        yield from _ends_with_its_outcome(name, call)
        yield from _attempts(name, call)
        is_current = not job.has_ended and job.record.get("phase") == "calls" and call.turn == job.turn
        if call.outcome is None and not is_current:
            yield f"{name} has no outcome, though its turn is over"
    if len(job.calls) != int(job.record.get("calls_used", 0)):
        yield f"{job.id} has {len(job.calls)} calls and counts {job.record.get('calls_used')}"
    current = job.calls_of(job.turn)
    if job.record.get("phase") == "calls":
        still_open = sum(call.outcome is None for call in current)
        if int(job.record["open"]) != still_open or not still_open:
            yield f"{job.id} has {still_open} open calls in turn {job.turn} and counts {job.record['open']}"
        if int(job.record["calls_in_turn"]) != len(current):
            yield f"{job.id} has {len(current)} calls in turn {job.turn} and counts {job.record['calls_in_turn']}"


def _ends_with_its_outcome(name: str, call: RawCall) -> Violations:
    ended = call.ended_events
    if len(ended) != (call.outcome is not None):
        yield f"{name} has the outcome {call.outcome} and {len(ended)} call_ended events"
    if call.outcome is None:
        return
    if call.outcome not in OUTCOME_KINDS:
        yield f"{name} has an outcome that there is not: {call.outcome!r}"
    if any(event.data["outcome"] != call.outcome for event in ended):
        yield f"{name} is {call.outcome}, but its events say {[event.data['outcome'] for event in ended]}"
    if ended and call.events[-1] is not ended[-1]:
        after = [event.type for event in call.events[call.events.index(ended[0]) + 1 :]]
        yield f"{name} goes on after its outcome: {after}"


def _attempts(name: str, call: RawCall) -> Violations:
    started = [event for event in call.events if event.type == "call_started"]
    attempts = int(call.fields.get("attempt", 0))
    if [event.data["attempt"] for event in started] != list(range(1, attempts + 1)):
        yield f"{name} counts {attempts} attempts, and its events {[event.data['attempt'] for event in started]}"
    if not call.fields["pool"] and (started or call.outcome is None):
        yield f"{name} was refused at once and yet begun, or left open"
    if call.fields["effect"] != "unsafe":
        return
    steps = [event.type for event in call.events if event.type in ("call_started", "call_retried")]
    if ("call_started", "call_started") in pairwise(steps):
        yield f"{name} is unsafe and was begun again, though nobody said that nothing was done: {steps}"


# Turns: promise 3


def _turns_follow_each_other(snapshot: Snapshot, job: RawJob) -> Violations:
    turns = [event.data["turn"] for event in job.of_type("turn_started")]
    if turns and (turns[0] != 1 or any(not 0 <= b - a <= 1 for a, b in pairwise(turns)) or turns[-1] > job.turn):
        yield f"{job.id} is in turn {job.turn} and took its turns in the order {turns}"
    for turn in range(1, job.turn + 1):
        calls = job.calls_of(turn)
        answered = [event for event in job.of_type("model_answered") if event.data["turn"] == turn]
        if len(answered) > 1:
            yield f"{job.id} has {len(answered)} answers of the model in turn {turn}"
        if not answered and turn == job.turn and job.state == "completed":
            yield f"{job.id} is completed without an answer of the model in turn {turn}"
        if turn < job.turn and (len(answered) != 1 or not calls):
            yield f"{job.id} went on after turn {turn} with {len(answered)} answers and {len(calls)} calls"
        if len(calls) != sum(len(event.data.get("calls", ())) for event in answered):
            yield f"{job.id} has {len(calls)} calls in turn {turn}, which the model's answer does not name"
        yield from _turn_in_order(job, turn, answered, calls)


def _turn_in_order(job: RawJob, turn: int, answered: Sequence[RawEvent], calls: Sequence[RawCall]) -> Violations:
    starts = [event.position for event in job.of_type("turn_started") if event.data["turn"] == turn]
    ends_before = [event.position for call in job.calls_of(turn - 1) for event in call.ended_events]
    if starts and ends_before and starts[0] < max(ends_before):
        yield f"{job.id} began turn {turn} before the last call of the turn before had ended"
    if answered and (not starts or answered[0].position < starts[-1]):
        yield f"{job.id} has an answer of the model in turn {turn} that no attempt of the turn gave"
    if any(event.position < answered[0].position for call in calls for event in call.events if answered):
        yield f"{job.id} has calls of turn {turn} that began before the model asked for them"
    if [call.index for call in calls] != list(range(len(calls))):
        yield f"{job.id} has calls with the indexes {[call.index for call in calls]} in turn {turn}"


def _continued_once(snapshot: Snapshot, job: RawJob) -> Violations:
    entries = snapshot.feed_by_job.get(job.id, ())
    turns = Counter(int(fields["turn"]) for fields in entries if fields["what"] == "turn")
    ends = sum(fields["what"] == "job" for fields in entries)
    if ends > 1 or any(count > 1 for count in turns.values()):
        yield f"{job.id} is in the feed more than once: turns {dict(turns)}, ends {ends}"
    if _feed_is_cut(snapshot):
        return
    if ends != job.has_ended:
        yield f"{job.id} is {job.state}, and the feed has {ends} ends of it"
    if sorted(turns) != list(range(1, job.turn)):
        yield f"{job.id} is in turn {job.turn}, and the feed has the turns {sorted(turns)} of it"


# What is kept, and for how long


def _expires(snapshot: Snapshot, job: RawJob) -> Violations:
    names = [f"job:{job.id}{suffix}" for suffix in _JOB_KEYS]
    if digest := job.record.get("idempotency"):
        names.append(f"idempotency:{digest}")
        if not str(snapshot.get(names[-1], "")).startswith(f"{job.id}|"):
            yield f"{job.id} can be accepted a second time: {names[-1]} does not name it"
    for name in names:
        ttl_ms = snapshot.ttl_ms(name)
        if ttl_ms is not None and (ttl_ms != FOR_EVER) != job.has_ended:
            yield f"{name} of {job.id}, which is {job.state}, has {'no' if ttl_ms == FOR_EVER else 'a'} TTL"
    for call in job.calls:
        name = f"job:{job.id}:result:{call.place}"
        ttl_ms = snapshot.ttl_ms(name)
        if ttl_ms == FOR_EVER:
            yield f"{name} has no TTL"
        if ttl_ms is not None and len(snapshot.get(name, "").encode()) != int(call.fields.get("stored", 0)):
            yield f"{name} has another size than the call says"
    waits = not job.has_ended and job.state == "waiting"
    if waits and not snapshot.get(f"job:{job.id}:messages", ()):
        yield f"{job.id} waits and has no messages"
    if job.turn and f"job:{job.id}:messages" in snapshot.keys:
        yield f"{job.id} has begun, but keeps messages of its own"


# Conversations: promise 4


def _conversation(snapshot: Snapshot, id: str) -> Violations:
    runs = snapshot.conversations[id].get("running", "")
    jobs = snapshot.jobs_by_conversation.get(id, ())
    running = [job for job in jobs if job.state == "running"]
    if [job.id for job in running] != ([runs] if runs else []):
        yield f"{id} says that {runs or 'nothing'} runs, and {[job.id for job in running]} do"
    waiting: Sequence[str] = snapshot.get(f"conversation:{id}:waiting", ())
    for job in jobs:
        if job.state == "waiting" and (waiting.count(job.id) != 1 or not running):
            yield f"{job.id} waits {waiting.count(job.id)} times for {id}, in which {runs or 'nothing'} runs"
    for name in (f"conversation:{id}", f"conversation:{id}:messages"):
        ttl_ms = snapshot.ttl_ms(name)
        if ttl_ms is not None and (ttl_ms != FOR_EVER) != (not runs):
            yield f"{name}, in which {runs or 'nothing'} runs, has a TTL of {ttl_ms} ms"
    if not runs and waiting and any(job.state == "waiting" for job in jobs):
        yield f"{id} rests, and {list(waiting)} wait for it"
    yield from _messages_are_acceptable(snapshot, id, jobs, running)


def _messages_are_acceptable(
    snapshot: Snapshot, id: str, jobs: Sequence[RawJob], running: Sequence[RawJob]
) -> Violations:
    try:
        messages: list[Any] = [_MESSAGE.validate_json(text) for text in snapshot.get(f"conversation:{id}:messages", ())]
    except ValidationError as error:
        yield f"{id} has a message that is none: {error}"
        return
    gathering = any(job.record.get("phase") == "calls" for job in running)
    if gathering:
        if not messages or not isinstance(messages[-1], AssistantMessage) or not messages[-1].tool_calls:
            yield f"{id} is being gathered, but does not end with the calls of an assistant"
        messages = messages[:-1]
    if problem := problem_with([*messages, UserMessage(content="and then?")]):
        yield f"{id} is not acceptable to a model: {problem}"
    for position, message in enumerate(messages):
        if isinstance(message, AssistantMessage) and message.tool_calls:
            wanted = [call.id for call in message.tool_calls]
            following = messages[position + 1 : position + 1 + len(wanted)]
            found = [answer.tool_call_id for answer in following if isinstance(answer, ToolMessage)]
            if found != wanted:
                yield f"{id} answers the calls {wanted} of message {position} with {found}"
    said = [(message.tool_call_id, message.content) for message in messages if isinstance(message, ToolMessage)]
    for job in jobs:
        for turn in range(1, job.turn + 1):
            calls = job.calls_of(turn)
            if calls and all(call.outcome for call in calls):
                answers = [(json.loads(c.fields["tool_call_id"]), json.loads(c.fields["content"])) for c in calls]
                if sum(said[at : at + len(answers)] == answers for at in range(len(said))) < 1:
                    yield f"{id} does not have the outcomes of {job.id}/{turn} as its tool messages"


# Queues


def _queue(snapshot: Snapshot, queue: RawQueue) -> Violations:
    name = queue.name
    in_flight = [id for ids in queue.held.values() for id in ids]
    somewhere = Counter([*queue.waiting, *queue.landed, *in_flight])
    if twice := sorted(id for id, count in somewhere.items() if count > 1):
        yield f"queue {name}: {twice} are in more than one place at once"
    if lost := sorted(set(queue.bodies) - set(somewhere)):
        yield f"queue {name}: nobody will fetch {lost}, since they neither wait nor are in flight"
    if empty := sorted(set(somewhere) - set(queue.bodies)):
        yield f"queue {name}: {empty} have no body"
    stock = set(snapshot.get("__heartbeats__", ())) - set(snapshot.get("__workers__", ()))
    ours = {id for worker, ids in queue.held.items() if worker not in stock for id in ids}
    if set(queue.deliveries) != ours:
        yield f"queue {name}: delivered is {sorted(queue.deliveries)}, and workers hold {sorted(ours)}"
    for worker, ids in queue.held.items():
        if worker not in snapshot.get("__workers__", ()) and worker not in stock:
            yield f"queue {name}: {sorted(ids)} are held by {worker}, which nobody will declare dead"
    if set(queue.scheduled) != set(queue.scheduled_bodies):
        odd = sorted(set(queue.scheduled) ^ set(queue.scheduled_bodies))
        yield f"queue {name}: {odd} are in the schedule without a body, or the other way round"
    if both := sorted(set(queue.scheduled) & set(queue.bodies)):
        yield f"queue {name}: {both} are scheduled and in the queue"
    if not set(queue.dead) == set(queue.dead_bodies) == set(queue.dead_causes):
        yield f"queue {name}: not every dead letter has a body and a cause"
    if forgotten := sorted(set(queue.crashes) - set(queue.bodies) - set(queue.scheduled)):
        yield f"queue {name}: crashes are counted of {forgotten}, which are done"


def _lanes(snapshot: Snapshot, queue: RawQueue) -> Violations:
    in_lanes = [id for ids in queue.lanes.values() for id in ids]
    if queue.tickets != len(in_lanes):
        yield f"queue {queue.name}: {len(in_lanes)} messages wait in lanes, and {queue.tickets} tickets stand for them"
    for lane, ids in queue.lanes.items():
        if astray := [id for id in ids if queue.lane_of.get(id) != lane]:
            yield f"queue {queue.name}: {astray} wait in the lane {lane}, which is not theirs"
    if forgotten := sorted(set(queue.lane_of) - set(queue.bodies) - set(queue.scheduled)):
        yield f"queue {queue.name}: lanes are kept of {forgotten}, which are done"
    in_flight = Counter(queue.lane_of[id].partition(":")[2] for id in queue.deliveries if id in queue.lane_of)
    if in_flight != Counter(queue.in_flight_by_tenant):
        counted = dict(queue.in_flight_by_tenant)
        yield f"queue {queue.name}: in flight by tenant are {dict(in_flight)}, and counted are {counted}"


def _not_at_rest(snapshot: Snapshot) -> Violations:
    for job in snapshot.jobs.values():
        if not job.has_ended:
            yield f"{job.id} has not ended: it is {job.state} in turn {job.turn}, phase {job.record['phase']!r}"
    for queue in snapshot.queues.values():
        if queue.name.startswith("reply."):
            continue
        for what, ids in (("waits", queue.bodies), ("is scheduled", queue.scheduled), ("lands", queue.landed)):
            if ids:
                yield f"queue {queue.name} is not at rest: {sorted(ids)} {what}"
    for name, key in snapshot.keys.items():
        if name.startswith("conversation:") and name.endswith(":waiting"):
            yield f"{name} is left over: {key.content}"


# What spans jobs


def _indexes(snapshot: Snapshot) -> Violations:
    living = {job.id for job in snapshot.jobs.values() if not job.has_ended}
    active, all_jobs = snapshot.get("jobs:active", {}), snapshot.get("jobs", {})
    if set(active) != living:
        yield f"jobs:active has {sorted(set(active) - living)} too many and lacks {sorted(living - set(active))}"
    if missing := sorted(set(snapshot.jobs) - set(all_jobs)):
        yield f"the index of jobs lacks {missing}"
    for id in living & set(active):
        if active[id] != float(snapshot.jobs[id].record["deadline_ms"]):
            yield f"{id} has another deadline in jobs:active than in its record"
    for name in snapshot.keys:
        kind, _, rest = name.partition(":")
        if kind == "job" and (id := rest.partition(":")[0]) not in snapshot.jobs and not name.count(":result:"):
            yield f"{name} is left over of a job without a record, {id}"
    if odd := [name for name in snapshot.keys if name.startswith("__control__") and _lasts(snapshot, name)]:
        yield f"{odd} would stay for ever"


def _feed(snapshot: Snapshot) -> Violations:
    sequence = [int(entry.fields["sequence"]) for entry in snapshot.get("feed", ())]
    if sequence and sequence != list(range(sequence[0], sequence[0] + len(sequence))):
        yield f"the feed has gaps: {sequence}"
    if sequence and sequence[-1] != int(snapshot.get("feed:sequence", 0)):
        yield f"the feed ends with {sequence[-1]}, and counts {snapshot.get('feed:sequence', 0)}"


def _replies(snapshot: Snapshot, *, replies_are_read: bool) -> Violations:
    sent: Counter[str] = Counter()
    for queue in snapshot.queues.values():
        if queue.name.startswith("reply."):
            sent.update(id.partition("/reply~")[0] for id in queue.bodies if "/reply~" in id)
            yield from _reply_queue_expires(snapshot, queue)
    dropped = int(snapshot.get("counters", {}).get("replies_dropped", 0))
    for job in snapshot.jobs.values():
        wanted = int(job.has_ended and bool(job.record.get("reply_queue")))
        if sent[job.id] > wanted or (sent[job.id] < wanted and not replies_are_read and not dropped):
            yield f"{job.id} is {job.state}: {sent[job.id]} answers were sent where {wanted} should be"
        for queue in snapshot.queues.values():
            for id in queue.bodies:
                if id.startswith(f"{job.id}/reply~"):
                    yield from _reply_tells_the_truth(job, queue.kwargs_of(id))


def _reply_tells_the_truth(job: RawJob, kwargs: Any) -> Violations:
    result = kwargs.get("result", {})
    if (result.get("job_id"), result.get("state")) != (job.id, job.state):
        yield f"{job.id} is {job.state}, and its answer says {result.get('state')} of {result.get('job_id')}"


def _reply_queue_expires(snapshot: Snapshot, queue: RawQueue) -> Violations:
    for name in (queue.name, f"{queue.name}.msgs"):
        if _lasts(snapshot, name):
            yield f"{name} has no TTL: answers that nobody reads would stay for ever"


def _repairs(snapshot: Snapshot, *, accounted_for: int) -> Violations:
    repaired = int(snapshot.get("counters", {}).get("repaired", 0))
    if repaired != accounted_for:
        yield f"the sweeper repaired {repaired} jobs or calls, where {accounted_for} are accounted for"


def _feed_is_cut(snapshot: Snapshot) -> bool:
    feed = snapshot.get("feed", ())
    return bool(feed) and feed[0].fields["sequence"] != "1"


def _lasts(snapshot: Snapshot, name: str) -> bool:
    return snapshot.ttl_ms(name) == FOR_EVER


_OF_A_QUEUE: Final[Sequence[Callable[[Snapshot, RawQueue], Violations]]] = (_queue, _lanes)
_OF_A_JOB: Final[Sequence[Callable[[Snapshot, RawJob], Violations]]] = (
    _ends_once,
    _has_a_message,
    _calls_end_once,
    _turns_follow_each_other,
    _continued_once,
    _expires,
)
