"""The commands on queues: one function per script in `lua/`, and how to read the answers."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from messaging.command import Command, Word, text, whole
from messaging.delivery import Delivery
from messaging.redaction import redact
from messaging.script import load_script
from schemas.events import LostDelivery

#: Deliveries that end with their worker before the message is not run again. The last one counts only if it died alone;
#: see `lua/fragments/ownership.lua`.
MAX_CRASHES = 3
#: How long dead letters are kept.
DEAD_LETTER_TTL = timedelta(days=7)
#: A worker's description outlives its last beat by this.
WORKER_INFO_TTL = timedelta(minutes=10)

#: A queue and an actor on it that hears of dead letters.
Notice = tuple[str, str]
HeldUpBy = Literal["", "paused", "full", "throttled"]
_HELD_UP_BY: dict[bytes, HeldUpBy] = {b"": "", b"paused": "paused", b"full": "full", b"throttled": "throttled"}
SettleHow = Literal["ack", "give_back", "postpone", "break", "bury"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch found."""

    registered: bool
    """False: this worker was declared dead and must register under a new id before it fetches again."""
    deliveries: Sequence[Delivery]
    waiting: int
    """How many messages the queue still holds."""
    held_up_by: HeldUpBy = ""
    """Why these cannot start now, if they cannot."""
    wait_s: float = 0.0
    """When held up: this worker waits for its bell, at most that long."""


@dataclass(frozen=True, slots=True)
class WorkerPulse:
    """What a beat says of one worker."""

    alive: bool
    held: int
    """How many messages Redis thinks the worker holds."""
    told: Sequence[str]
    """Ids of messages whose work is cancelled."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a beat answers."""

    now_us: int
    next_due_ms: int | None
    """When the next scheduled message of any queue is due, by Redis's clock."""
    released: int
    """Messages of dead workers that went back to their queues."""
    workers: Sequence[WorkerPulse]


class Mended(NamedTuple):
    """What was not where it should be."""

    put_back: int
    """Messages that stood nowhere."""
    dropped: int
    """Records of messages that are gone, such as places that nobody holds."""


def fetch(worker: str, queue: str, room: int) -> Command[Fetched]:
    """Hands over at most `room` messages. Never sent again when its answer is lost: reconcile instead."""

    def decode(answer: list[Any]) -> Fetched:
        if answer[0] != b"ok":
            return Fetched(registered=False, deliveries=(), waiting=0)
        fetched_us = int(answer[1])
        deliveries = [
            _delivery(worker, queue, fetched_us, *answer[index : index + 4]) for index in range(6, len(answer), 4)
        ]
        if answer[5]:
            since_us, allowed_us, step_us = (int(part) for part in answer[5].split(b"|"))
            for place, delivery in enumerate(deliveries):
                delivery.throttled = (since_us, min(fetched_us, allowed_us + place * step_us))
        return Fetched(
            registered=True,
            deliveries=deliveries,
            waiting=answer[2],
            held_up_by=_HELD_UP_BY[answer[3]],
            wait_s=answer[4] / 1000,
        )

    return Command(load_script("messaging", "fetch"), (worker, queue, room), decode)


def _delivery(
    worker: str, queue: str, fetched_us: int, id: bytes, token: bytes, crashes: bytes, body: bytes
) -> Delivery:
    counted, *lost = crashes.decode().split("|")
    count, _, _ = counted.partition("/")
    return Delivery(
        worker=worker,
        queue=queue,
        id=id.decode(),
        token=token.decode(),
        body=body,
        crashes=int(count or 0),
        lost=tuple(_lost(*one.split(",")) for one in lost),
        fetched_us=fetched_us,
    )


def _lost(worker: str, fetched_us: str, lost_us: str) -> LostDelivery:
    return LostDelivery(worker=worker, fetched_us=int(fetched_us), lost_us=int(lost_us))


def enqueue(messages: Iterable[tuple[str, str, bytes, int | None]], *, lane: str | None = None) -> Command[int]:
    """Adds messages, each `(queue, id, body, delay_ms or None)`; answers how many were new.

    `lane` is where they wait in queues that are fair: `i:<tenant>` for interactive, `b:<tenant>` for batch work.
    """
    words: list[Word] = [lane or ""]
    for queue, id, body, delay_ms in messages:
        words += (queue, id, body, "" if delay_ms is None else delay_ms)
    return Command(load_script("messaging", "enqueue"), words, whole)


def settle(
    deliveries: Sequence[Delivery], how: SettleHow, detail: Word = "", *, notice: Notice | None = None
) -> Command[int]:
    """Ends the ownership of deliveries of one worker and queue; see `lua/settle.lua` for the ways.

    The commonest way, `ack`, has a script of its own, without what the others need.
    """
    first = deliveries[0]
    words: list[Word] = [first.worker, first.queue]
    if how != "ack":
        words += (how, detail, *(notice or ("", "")))
    for delivery in deliveries:
        words += (delivery.id, delivery.token)
    return Command(load_script("messaging", "acknowledge" if how == "ack" else "settle"), words, whole)


def broken_pause_ms(delivery: Delivery) -> int:
    """How long a message waits whose actor broke: a second, doubled with each time, at most a minute."""
    return int(min(1000 * 2**delivery.crashes, 60_000))


def bury(delivery: Delivery, *, reason: str, error: str, notice: Notice | None) -> Command[int]:
    """Puts a message among the dead letters, with its cause, and tells whoever waits for what will not be done."""
    return settle([delivery], "bury", json.dumps({"reason": reason, "error": redact(error)}), notice=notice)


def retry(delivery: Delivery, *, queue: str, id: str, body: bytes, delay_ms: int) -> Command[bool]:
    """Settles a message and schedules its next attempt in one step; False if it was no longer owned."""
    return Command(load_script("messaging", "retry"), (*delivery.fence, queue, id, body, delay_ms), bool)


def register(worker: str, info: Mapping[str, object], queues: Iterable[str]) -> Command[int]:
    """A worker joins the living; answers Redis's time, µs."""
    words: list[Word] = [worker, json.dumps(info), _ms(WORKER_INFO_TTL), *queues]
    return Command(load_script("messaging", "register"), words, int)


def beat(workers: Sequence[str], *, heartbeat_timeout: timedelta, check_interval: timedelta) -> Command[Pulse]:
    """Says that `workers` live, and does the rounds; see `lua/beat.lua`."""

    def decode(answer: list[Any]) -> Pulse:
        return Pulse(
            now_us=int(answer[0]),
            next_due_ms=int(answer[1]) if answer[1] else None,
            released=answer[2],
            workers=[
                WorkerPulse(alive=bool(answer[i]), held=answer[i + 1], told=[text(word) for word in answer[i + 2]])
                for i in range(3, len(answer), 3)
            ],
        )

    words: list[Word] = [
        _ms(heartbeat_timeout),
        _ms(check_interval),
        _ms(WORKER_INFO_TTL),
        _ms(DEAD_LETTER_TTL),
        *workers,
    ]
    return Command(load_script("messaging", "beat"), words, decode)


def vouch(workers: Sequence[str]) -> Command[int]:
    """Says that `workers` live, on their behalf; answers how many of them nobody has declared dead."""
    return Command(load_script("messaging", "vouch"), workers, whole)


def leave(worker: str, *, died: bool) -> Command[int]:
    """A worker goes; answers how many messages went back. `died` counts them as crashed deliveries."""
    return Command(load_script("messaging", "leave"), (worker, int(died)), whole)


def reconcile(worker: str, queue: str, held: Iterable[str]) -> Command[int]:
    """Gives back what Redis thinks `worker` holds and is not in `held`; answers how many."""
    return Command(load_script("messaging", "reconcile"), (worker, queue, *held), whole)


def mend(*, interval: timedelta) -> Command[Mended]:
    """Puts right what is not where it should be, on every queue, at most once an interval; see `lua/mend.lua`."""
    return Command(load_script("messaging", "mend"), (_ms(interval),), lambda answer: Mended(*answer))


def purge(queue: str) -> Command[int]:
    """Drops whatever waits, is scheduled or is dead in a queue; answers how many."""
    return Command(load_script("messaging", "purge"), (queue,), whole)


def queue_size(queue: str) -> Command[int]:
    """What is not done yet on a queue."""
    return Command(load_script("messaging", "queue_size"), (queue,), whole)


def wait_for_message(namespace: str, worker: str, queue: str, *, timeout_s: float) -> Command[bool]:
    """Blocks until the queue has a message, which is then on its way to this worker; the next fetch hands it over.

    A blocking move to a list of the worker's own wakes one waiting worker per message, also for messages of stock
    producers; what lies there when the worker dies goes back with what it held.
    """
    words = ("BLMOVE", f"{namespace}:{queue}", f"{namespace}:__landing__.{worker}.{queue}", "LEFT", "RIGHT", timeout_s)
    return Command(None, words, lambda answer: answer is not None)


def wait_for_bell(namespace: str, worker: str, queue: str, *, timeout_s: float) -> Command[bool]:
    """Blocks until this worker is rung: a place is free, a pause is over, or limits have changed."""
    words = ("BLPOP", f"{namespace}:__wake__.{worker}.{queue}", timeout_s)
    return Command(None, words, lambda answer: answer is not None)


def _ms(duration: timedelta) -> int:
    return round(duration / timedelta(milliseconds=1))
