"""What came of it: three counts beside each other, of the upstream system, of the tools, and of the ledger.

Everything here is a function of what was recorded. The ledger is also judged by the checker of all tests, of course.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Final

from benchmarks.figures import percentile
from schemas.wire import parse_call_id, parse_turn_id
from tests.chaos.faults import Held, Hit
from tests.chaos.fleet import SUPERVISED
from tests.chaos.upstream import Count
from tests.promises import violations_in
from tests.scenarios.deployment import Note
from tests.snapshot import RawCall, RawJob, Snapshot

_SHORTLY_US: Final = 12_000_000


@dataclass(frozen=True)
class Verdict:
    """The figures, and sentences about what must not be."""

    attempted: int
    accepted: int
    """Orders that a submit returned for, or that were answered."""
    completed: int
    failed: int
    failed_with: Mapping[str, int]
    """How many failed with which error, such as that a message died with three processes."""
    cancelled: int
    expired: int
    lost: int
    """Accepted orders that the ledger does not have, or that came to no end."""
    stuck: int
    """Jobs that had not ended when everything should have."""
    calls: int
    unknown: int
    """Unsafe calls whose worker was lost in the middle, as the model was told."""
    duplicated_outcomes: int
    """Jobs and calls with a second end, answers sent twice, and orders that became two jobs."""
    silent_double_effects: int
    """Unsafe deeds done twice, and idempotent ones under two keys."""
    denied_effects: int
    """Unsafe deeds that were done while the outcome says that they were not, or the other way round."""
    violations: tuple[str, ...]
    """What the checker says of the ledger."""
    kills: int
    faults: Mapping[str, int]
    """How often each happened."""
    faults_in_flight: int
    """How many hit work in flight."""
    kills_in_flight: int
    """How many kills of workers and orchestrators hit work in flight."""
    held: int
    """How many messages were held by processes that were killed."""
    recovered: int
    """How many of them went on; the others were copies, or their job ended meanwhile."""
    recovery_s: Sequence[float]
    """How long after the kill they went on, each; without unsafe calls that had begun."""
    recovery_with_redis_s: Sequence[float]
    """The same, of those for which Redis did not go away meanwhile: while it is, and for a heartbeat time-out after a
    long absence, nobody is declared dead."""
    supervised_recovery_s: Sequence[float]
    """The same, of those that a supervisor saw die, and gave back what they held."""
    slowest: tuple[str, ...]
    """The kills after which it took longest, without an absence of Redis."""
    unknown_after_s: Sequence[float]
    """How long after the kill an unsafe call that had begun was answered, each: its time limit is a part of this."""
    repeated_submits: int
    broken_model_calls: int
    """Model calls that got a 429, half an answer, or none."""
    connections_cut: int
    answers_lost: int
    """Answers of Redis that were lost on their way."""
    took: timedelta
    problems: tuple[str, ...]
    """What must not be, each with its names; empty if all promises were kept."""

    def describe(self) -> str:
        """All of it for people, a line each."""
        lines = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_s"):
                value = f"p50 {percentile(value, 50):.2f}, p99 {percentile(value, 99):.2f}" if value else "none"
            elif isinstance(value, tuple):
                value = "".join(f"\n  {line}" for line in value[:20]) or "none"
            lines.append(f"{field.name}: {value}")
        return "\n".join(lines)


def judge(
    *,
    count: Count,
    notes: Sequence[Note],
    snapshot: Snapshot,
    hits: Sequence[Hit],
    absences_us: Sequence[int],
    broken_model_calls: int,
    connections_cut: int,
    answers_lost: int,
    took: timedelta,
) -> Verdict:
    """Puts the counts beside each other."""
    jobs_of = _jobs_by_order(count, snapshot)
    accepted = count.accepted.keys() | count.answered.keys()
    lost = [number for number in sorted(accepted) if not any(id in snapshot.jobs for id in jobs_of[number])]
    stuck = [job.id for job in snapshot.jobs.values() if not job.has_ended]
    unanswered = sorted(count.open - set(lost))
    duplicated = list(_duplicated(count, jobs_of, snapshot))
    twice, denied = list(_done_twice(notes)), list(_denied(notes, snapshot))
    violations = violations_in(snapshot, replies_are_read=True)
    states = Counter(job.state for job in snapshot.jobs.values())
    outcomes = Counter(call.outcome for job in snapshot.jobs.values() for call in job.calls)
    killed = [hit for hit in hits if hit.kills and hit.kind != "kill_redis"]
    recoveries = [one for hit in killed for held in hit.held if (one := _recovery(snapshot, hit, held))]
    picked_up = [one for one in recoveries if not one.is_unknown]
    with_redis = [one for one in picked_up if not any(one.meets(us) for us in absences_us)]
    return Verdict(
        attempted=len(count.attempted),
        accepted=len(accepted),
        completed=states["completed"],
        failed=states["failed"],
        failed_with=_errors(snapshot),
        cancelled=states["cancelled"],
        expired=states["expired"],
        lost=len(lost),
        stuck=len(set(stuck)),
        calls=sum(outcomes.values()),
        unknown=outcomes["unknown"],
        duplicated_outcomes=len(duplicated),
        silent_double_effects=len(twice),
        denied_effects=len(denied),
        violations=tuple(violations),
        kills=sum(hit.kills for hit in hits),
        faults=dict(sorted(Counter(hit.kind for hit in hits).items())),
        faults_in_flight=sum(bool(hit.held) for hit in hits),
        kills_in_flight=sum(bool(hit.held) for hit in killed),
        held=sum(len(hit.held) for hit in killed),
        recovered=len(recoveries),
        recovery_s=[one.after_s for one in picked_up],
        recovery_with_redis_s=[one.after_s for one in with_redis],
        supervised_recovery_s=[one.after_s for one in with_redis if one.hit.what == SUPERVISED],
        slowest=_slowest(killed, snapshot, absences_us),
        unknown_after_s=[one.after_s for one in recoveries if one.is_unknown],
        repeated_submits=count.repeated_submits,
        broken_model_calls=broken_model_calls,
        connections_cut=connections_cut,
        answers_lost=answers_lost,
        took=took,
        problems=(
            *(f"order {number} was accepted, and the ledger does not have it" for number in lost),
            *(f"order {number} got no answer" for number in unanswered),
            *(f"{id} is stuck: {snapshot.jobs[id].state}" for id in stuck),
            *duplicated,
            *twice,
            *denied,
            *violations,
        ),
    )


def _jobs_by_order(count: Count, snapshot: Snapshot) -> Mapping[int, set[str]]:
    jobs: defaultdict[int, set[str]] = defaultdict(set)
    for number, ids in count.accepted.items():
        jobs[number] |= ids
    for number, (id, _) in count.answered.items():
        jobs[number].add(id)
    for job in snapshot.jobs.values():
        jobs[_order_of(job)].add(job.id)
    return jobs


def _errors(snapshot: Snapshot) -> Mapping[str, int]:
    errors = [json.loads(job.record["error"]) for job in snapshot.jobs.values() if job.state == "failed"]
    return dict(Counter(f"{error['code']}: {re.sub('[0-9]+', '…', error['message'])}" for error in errors))


def _order_of(job: RawJob) -> int:
    return int(json.loads(job.record["metadata"])["order"])


# What may not happen twice


def _duplicated(count: Count, jobs_of: Mapping[int, set[str]], snapshot: Snapshot) -> Iterator[str]:
    yield from (f"order {number} became {sorted(ids)}" for number, ids in jobs_of.items() if len(ids) > 1)
    yield from (f"order {number} was answered {times} times" for number, times in count.answers.items() if times > 1)
    for number, (id, state) in count.answered.items():
        if id in snapshot.jobs and snapshot.jobs[id].state != state:
            yield f"order {number} was answered as {state}, and {id} is {snapshot.jobs[id].state}"
    for job in snapshot.jobs.values():
        if (ends := len(job.of_type("job_ended"))) > 1:
            yield f"{job.id} ended {ends} times"
        for call in job.calls:
            if len(call.ended_events) > 1:
                yield f"{job.id}/{call.place} ended {len(call.ended_events)} times"


def _done_twice(notes: Sequence[Note]) -> Iterator[str]:
    effects: defaultdict[str, list[Note]] = defaultdict(list)
    for note in notes:
        if not note.what.startswith("begin "):
            effects[note.what].append(note)
    for order, done in effects.items():
        if order.startswith("paid ") and len(done) > 1:
            yield f"{order}: an unsafe deed was done {len(done)} times: {done}"
        if len(keys := {note.key for note in done}) > 1:
            yield f"{order}: a deed was done under {len(keys)} keys: {sorted(keys)}"


def _denied(notes: Sequence[Note], snapshot: Snapshot) -> Iterator[str]:
    done = {note.call for note in notes if not note.what.startswith("begin ")}
    for job in snapshot.jobs.values():
        for call in job.calls:
            id = f"{job.id}/{call.place}"
            if call.outcome == "succeeded" and id not in done:
                yield f"{id} is succeeded, and was never done"
            if call.fields["effect"] == "unsafe" and id in done and call.outcome not in ("succeeded", "unknown"):
                yield f"{id} is {call.outcome}, but was done"


# What became of what a killed process held


@dataclass(frozen=True)
class _Recovery:
    hit: Hit
    went_on_us: int
    is_unknown: bool

    @property
    def after_s(self) -> float:
        return (self.went_on_us - self.hit.at_us) / 1e6

    def meets(self, absence_us: int) -> bool:
        """Whether Redis went away in between, or so shortly before that nobody was being declared dead."""
        return self.hit.at_us - _SHORTLY_US < absence_us < self.went_on_us


def _recovery(snapshot: Snapshot, hit: Hit, held: Held) -> _Recovery | None:
    """When the work of a message went on; None if nothing of it was left to do."""
    purpose = held.id.partition("~")[0]
    if (call_place := parse_call_id(purpose)) is not None:
        id, turn, index = call_place
        calls: Sequence[RawCall] = snapshot.jobs[id].calls if id in snapshot.jobs else ()
        events = [event for call in calls if (call.turn, call.index) == (turn, index) for event in call.events]
    elif (turn_place := parse_turn_id(purpose)) is not None and turn_place[0] in snapshot.jobs:
        job = snapshot.jobs[turn_place[0]]
        of_turn = ("turn_started", "model_answered", "model_failed")
        events = [event for event in job.of_type(*of_turn) if event.data["turn"] == turn_place[1]]
    else:
        return None
    after = [event for event in events if event.at_us > hit.at_us]
    if not after:
        return None
    return _Recovery(hit, after[0].at_us, after[0].data.get("outcome") == "unknown")


def _slowest(killed: Sequence[Hit], snapshot: Snapshot, absences_us: Sequence[int]) -> tuple[str, ...]:
    longest: list[tuple[float, str]] = []
    for hit in killed:
        recoveries = [one for held in hit.held if (one := _recovery(snapshot, hit, held)) and not one.is_unknown]
        after_s = [one.after_s for one in recoveries if not any(one.meets(us) for us in absences_us)]
        if after_s:
            again = [
                (other.at_us - hit.at_us) / 1e6 for other in killed if 0 < other.at_us - hit.at_us < max(after_s) * 1e6
            ]
            later = ", ".join(f"{seconds:.1f}" for seconds in again)
            longest.append(
                (max(after_s), f"{hit.what}: {len(after_s)} messages, others killed after {later or 'nothing'}")
            )
    return tuple(f"{seconds:.2f} s after {told}" for seconds, told in sorted(longest, reverse=True)[:12])
