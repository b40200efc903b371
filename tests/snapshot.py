"""The raw ledger and its queues as they are in Redis at one instant, for tests that look behind the scripts.

Read by one script, so that a snapshot of a system at work does not contradict itself. It knows the form of the keys,
and nothing of what ought to be in them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import redis

_SCRIPT: Final = Path(__file__).with_suffix(".lua").read_text("utf-8")
FOR_EVER: Final = -1
TICKET: Final = "*"
"""In the list of a fair queue, what stands for a message that waits in a lane."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream."""

    id: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its content by its type, and how long it has left."""

    kind: str
    ttl_ms: int
    """`FOR_EVER` if it does not expire."""
    content: Any


@dataclass(frozen=True)
class RawCall:
    """A call as the ledger has it, and its events in order."""

    turn: int
    index: int
    fields: Mapping[str, str]
    events: Sequence["RawEvent"]

    @property
    def place(self) -> str:
        return f"{self.turn}/{self.index}"

    @property
    def outcome(self) -> str | None:
        return self.fields.get("outcome")

    @property
    def ended_events(self) -> "list[RawEvent]":
        return [event for event in self.events if event.type == "call_ended"]


@dataclass(frozen=True)
class RawEvent:
    """An event of a job."""

    position: int
    """Its place among the job's events."""
    at_us: int
    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class RawJob:
    """A job's record, calls and events."""

    id: str
    record: Mapping[str, str]
    calls: Sequence[RawCall]
    events: Sequence[RawEvent]

    @property
    def state(self) -> str:
        return self.record.get("state", "")

    @property
    def has_ended(self) -> bool:
        return self.state not in ("waiting", "running")

    @property
    def turn(self) -> int:
        return int(self.record.get("turn", 0))

    @property
    def conversation(self) -> str:
        return self.record.get("conversation", "")

    def of_type(self, *types: str) -> list[RawEvent]:
        """Its events of these types, in order."""
        return [event for event in self.events if event.type in types]

    def calls_of(self, turn: int) -> list[RawCall]:
        """The calls of one turn, by index."""
        return [call for call in self.calls if call.turn == turn]


@dataclass(frozen=True)
class RawQueue:
    """A queue with everything around it."""

    name: str
    entries: Sequence[str]
    """The list itself: ids and, in a fair queue, tickets."""
    lanes: Mapping[str, Sequence[str]]
    """Of a fair queue: ids by the lane, `<priority>:<tenant>`, in which they wait."""
    lane_of: Mapping[str, str]
    in_flight_by_tenant: Mapping[str, int]
    bodies: Mapping[str, str]
    deliveries: Mapping[str, str]
    crashes: Mapping[str, str]
    scheduled: Mapping[str, float]
    scheduled_bodies: Mapping[str, str]
    dead: Mapping[str, float]
    dead_bodies: Mapping[str, str]
    dead_causes: Mapping[str, str]
    held: Mapping[str, frozenset[str]]
    """Ids by the worker whose ack set they are in."""
    landing: Mapping[str, Sequence[str]]
    """Ids by the worker that they are on their way to."""

    @property
    def waiting(self) -> list[str]:
        """What waits in the list and in the lanes."""
        return [*(id for id in self.entries if id != TICKET), *(id for ids in self.lanes.values() for id in ids)]

    @property
    def tickets(self) -> int:
        """How many entries, also of those on their way to a worker, stand for a message in a lane."""
        return [*self.entries, *(id for ids in self.landing.values() for id in ids)].count(TICKET)

    @property
    def landed(self) -> list[str]:
        return [id for ids in self.landing.values() for id in ids if id != TICKET]

    def kwargs_of(self, id: str) -> Mapping[str, Any]:
        """The arguments of a message that waits, is in flight or is scheduled; empty if it is none of ours."""
        try:
            message = json.loads(self.bodies.get(id) or self.scheduled_bodies.get(id) or "")
        except ValueError:
            return {}
        kwargs = message.get("kwargs") if isinstance(message, dict) else None
        return kwargs if isinstance(kwargs, dict) else {}

    def has(self, id: str | None) -> bool:
        """Whether the message waits, is in flight or is scheduled."""
        return id in self.bodies or id in self.scheduled_bodies


@dataclass(frozen=True)
class Snapshot:
    """Everything below one namespace."""

    namespace: str
    keys: Mapping[str, Key] = field(repr=False)
    """By name, without the namespace and the colon after it."""

    @classmethod
    def take(cls, client: "redis.Redis", namespace: str) -> "Snapshot":
        """Reads everything, at one instant."""
        answer: Any = client.eval(_SCRIPT, 1, namespace)
        keys = {}
        for name, kind, ttl_ms, content in answer:
            keys[_text(name)[len(namespace) + 1 :]] = Key(_text(kind), ttl_ms, _content(_text(kind), content))
        return cls(namespace, keys)

    def get(self, name: str, default: Any) -> Any:
        """The content of a key, or `default` if there is no such key."""
        key = self.keys.get(name)
        return default if key is None else key.content

    def ttl_ms(self, name: str) -> int | None:
        """How long a key has left; None if there is no such key."""
        key = self.keys.get(name)
        return None if key is None else key.ttl_ms

    @cached_property
    def jobs(self) -> Mapping[str, RawJob]:
        """All jobs that have a record."""
        names = (name.removeprefix("job:") for name in self.keys if name.startswith("job:"))
        return {id: self._job(id) for id in sorted(names) if ":" not in id}

    @cached_property
    def jobs_by_conversation(self) -> Mapping[str, Sequence[RawJob]]:
        """The jobs of each conversation that has any."""
        jobs: dict[str, list[RawJob]] = {}
        for job in self.jobs.values():
            jobs.setdefault(job.conversation, []).append(job)
        return jobs

    @cached_property
    def feed_by_job(self) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """The fields of each job's entries in the feed, in order."""
        entries: dict[str, list[Mapping[str, str]]] = {}
        for entry in self.get("feed", ()):
            entries.setdefault(entry.fields["job"], []).append(entry.fields)
        return entries

    @cached_property
    def conversations(self) -> Mapping[str, Mapping[str, str]]:
        """The records of all conversations."""
        names = (name.removeprefix("conversation:") for name in self.keys if name.startswith("conversation:"))
        return {id: self.keys[f"conversation:{id}"].content for id in sorted(names) if ":" not in id}

    @cached_property
    def queues(self) -> Mapping[str, RawQueue]:
        """All queues that anything is known of."""
        names: set[str] = set(self.get("__queues__", ()))
        for name in self.keys:
            if name.startswith(("__acks__.", "__landing__.")):
                names.add(name.split(".", 2)[2])
            for suffix in (":schedule", ":deliveries", ":crashes", ".msgs"):
                if name.endswith(suffix):
                    queue = name.removesuffix(suffix)
                    names.add(queue.removesuffix(":schedule").removesuffix(".XQ").removesuffix(".DQ"))
        return {name: self._queue(name) for name in sorted(names)}

    def queue(self, name: str) -> RawQueue:
        """A queue, empty if nothing is known of it."""
        return self.queues.get(name) or self._queue(name)

    def _job(self, id: str) -> RawJob:
        entries: Sequence[Entry] = self.get(f"job:{id}:events", ())
        events = [
            RawEvent(position, int(entry.fields["at"]), entry.fields["type"], json.loads(entry.fields["data"]))
            for position, entry in enumerate(entries)
        ]
        by_place: dict[tuple[int, int], dict[str, str]] = {}
        for name, value in self.get(f"job:{id}:calls", {}).items():
            place, _, field_name = name.partition(":")
            turn, _, index = place.partition("/")
            by_place.setdefault((int(turn), int(index)), {})[field_name] = value
        calls = [
            RawCall(turn, index, fields, list(_events_of(events, turn, index)))
            for (turn, index), fields in sorted(by_place.items())
        ]
        return RawJob(id, self.keys[f"job:{id}"].content, calls, events)

    def _queue(self, name: str) -> RawQueue:
        return RawQueue(
            name=name,
            entries=self.get(name, ()),
            lanes={
                key.removeprefix(f"{name}:lane:"): ids.content
                for key, ids in self.keys.items()
                if key.startswith(f"{name}:lane:")
            },
            lane_of=self.get(f"{name}:lane_of", {}),
            in_flight_by_tenant={
                tenant: int(count) for tenant, count in self.get(f"{name}:tenant_in_flight", {}).items()
            },
            bodies=self.get(f"{name}.msgs", {}),
            deliveries=self.get(f"{name}:deliveries", {}),
            crashes=self.get(f"{name}:crashes", {}),
            scheduled=self.get(f"{name}:schedule", {}),
            scheduled_bodies=self.get(f"{name}:schedule.msgs", {}),
            dead=self.get(f"{name}.XQ", {}),
            dead_bodies=self.get(f"{name}.XQ.msgs", {}),
            dead_causes=self.get(f"{name}.XQ.causes", {}),
            held=self._by_worker("__acks__", name),
            landing=self._by_worker("__landing__", name),
        )

    def _by_worker(self, prefix: str, queue: str) -> dict[str, Any]:
        owners = (key.split(".", 2) for key in self.keys if key.startswith(f"{prefix}."))
        return {worker: self.keys[f"{prefix}.{worker}.{of}"].content for _, worker, of in owners if of == queue}


def _events_of(events: Sequence[RawEvent], turn: int, index: int) -> Iterator[RawEvent]:
    for event in events:
        if (event.data.get("turn"), event.data.get("index")) == (turn, index):
            yield event


def _content(kind: str, content: Any) -> Any:
    match kind:
        case "hash":
            return _pairs(content)
        case "zset":
            return {member: float(score) for member, score in _pairs(content).items()}
        case "stream":
            return [Entry(_text(id), _pairs(fields)) for id, fields in content]
        case "set":
            return frozenset(_text(member) for member in content)
        case "string":
            return _text(content[0])
        case _:
            return [_text(element) for element in content]


def _pairs(flat: Sequence[bytes | str]) -> dict[str, str]:
    return {_text(flat[i]): _text(flat[i + 1]) for i in range(0, len(flat), 2)}


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")
