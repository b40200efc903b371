"""The commands of those who look after a deployment: queues, dead letters, processes, and the doctor."""

import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from rich.console import Console

from messaging import queue_commands
from messaging.command_runner import BlockingRunner
from messaging.delivery import Delivery
from messaging.limits import QueueLimits, Rate, read_queue_limits, set_queue_limits
from messaging.queue_states import QueueState, read_queue_states
from tests.command_line import CommandLine, Result, wait_until
from trunkline.command_line.output import Output
from trunkline.command_line.queue_tables import queues_table

NAMESPACE = "{trunkline}"


@dataclass(frozen=True)
class Ops:
    """A deployment with a worker `w` of the queues `house` and `garden`, and the command line to look after it."""

    cli: CommandLine
    client: redis.Redis

    def __post_init__(self) -> None:
        info = {"worker": "w", "queues": ["house"], "pid": 1, "host": "there", "slots": 4, "tools": ["look@1.2.0"]}
        self.run(queue_commands.register("w", info, ["house", "garden"]))

    @property
    def run(self) -> Any:
        return BlockingRunner(self.client, namespace=NAMESPACE).run

    def put(self, *ids: str, queue: str = "house", actor: str = "work") -> None:
        """Enqueues messages."""
        for id in ids:
            body = {"actor_name": actor, "kwargs": {"password": "hunter2"}, "message_timestamp": 1}
            self.run(queue_commands.enqueue([(queue, id, json.dumps(body).encode(), None)]))

    def begin(self, queue: str = "house") -> Delivery:
        """The worker fetches one."""
        [delivery] = self.run(queue_commands.fetch("w", queue, 1)).deliveries
        assert isinstance(delivery, Delivery)
        return delivery

    def bury(self, *ids: str, queue: str = "house", actor: str = "work") -> None:
        """Makes dead letters."""
        for id in ids:
            self.put(id, queue=queue, actor=actor)
            self.run(queue_commands.bury(self.begin(queue), reason="failed", error="it would not", notice=None))

    def state(self, queue: str = "house") -> QueueState:
        """How a queue stands."""
        [state] = [state for state in self.run(read_queue_states()) if state.name == queue]
        assert isinstance(state, QueueState)
        return state

    def dead(self, queue: str = "house") -> set[str]:
        """The ids of its dead letters."""
        ids: Any = self.client.zrange(f"{NAMESPACE}:{queue}.XQ", 0, -1)
        return {id.decode() for id in ids}

    def each(self, *lines: str) -> list[Result]:
        """Runs command lines, whose words have no spaces, one after the other."""
        return self.cli.run_each(*((line.split(), {}) for line in lines))


@pytest.fixture
def ops(redis_url: str, tmp_path: Path) -> Iterator[Ops]:
    with redis.Redis.from_url(redis_url) as client:
        yield Ops(CommandLine(tmp_path, {"TRUNKLINE_REDIS_URL": redis_url}), client)


def test_what_waits_and_who_works_is_listed_for_people_and_for_programs(ops: Ops) -> None:
    ops.put("a", "b", "c")
    ops.begin()
    ops.bury("d", queue="garden")
    people, programs, who, who_for_programs, limits = ops.each(
        "queue list", "queue list --json", "pool list", "pool list --json", "queue limit house --json"
    )
    garden, house = programs.document
    assert (house["queue"], house["waiting"], house["runnable"], house["in_flight"]) == ("house", 2, 2, 1)
    assert (house["workers"], house["dead"], house["rate_used"]) == (1, 0, None)
    assert house["oldest_s"] > 0
    assert (garden["queue"], garden["dead"]) == ("garden", 1)
    assert limits.document["limits"] == house["limits"]
    assert [line.split()[:2] for line in people.out.splitlines()[1:]] == [["garden", "0"], ["house", "2"]]
    [worker] = who_for_programs.document
    assert (worker["worker"], worker["host"], worker["pid"], worker["slots"]) == ("w", "there", 1, 4)
    assert (worker["held"], worker["tools"], worker["queues"]) == (1, ["look@1.2.0"], ["house"])
    for word in ("house", "there", "look@1.2.0"):
        assert word in who.out


def test_a_list_of_queues_has_their_whole_names_where_there_is_little_room(ops: Ops) -> None:
    name = "a_queue_with_a_name_that_is_longer_than_most"
    ops.run(queue_commands.register("w", {}, [name]))
    ops.run(set_queue_limits("house", QueueLimits(rate=Rate.parse("300/min"), burst=10, max_in_flight=20)))
    states = ops.run(read_queue_states())
    for width in (80, 90, 120):
        told = StringIO()
        console = Console(file=told, width=width)
        console.print(queues_table(states, [], Output()))
        assert name in told.getvalue()


def test_a_queue_is_watched_until_somebody_interrupts(ops: Ops) -> None:
    with ops.cli.running("queue", "watch", "--every", "0.05s", "--json") as watch:
        assert watch.stdout is not None
        [_, house] = json.loads(watch.stdout.readline())["queues"]
        assert house["waiting"] == 0
        ops.put("a", "b")
        for line in watch.stdout:
            if json.loads(line)["queues"][1]["waiting"] == 2:
                break
        watch.send_signal(signal.SIGINT)
        assert watch.wait(20) == 130


def test_limits_are_changed_one_by_one_and_taken_away(ops: Ops) -> None:
    results = ops.each(
        "queue limit house --rate 300/min --burst 10 --max-in-flight 20",
        "queue limit house --burst 3 --fair",
        "queue pause house --json",
        "queue limit house",
        "queue resume house",
        "queue limit house --tenant acme --rate 2/s --weight 3",
        "queue limit garden --tenant * --max-in-flight 5",
        "queue limit house --none --json",
    )
    assert [result.code for result in results] == [0] * 8, results
    assert "5/s, burst 10; at most 20 in flight" in results[0].out
    assert results[2].document == {"queue": "house", "paused": True}
    assert results[3].out == "house: paused; 5/s, burst 3; at most 20 in flight; fair\n"
    assert "garden is not fair" in results[6].err
    assert results[7].document["limits"]["rate_per_s"] is None
    assert ops.run(read_queue_limits(NAMESPACE, "house")) == QueueLimits()
    tenants: Any = ops.client.hgetall(f"{NAMESPACE}:house:tenant_limits")
    assert tenants == {b"acme": b"500000|500000||3"}


def test_what_cannot_be_meant_is_refused_and_changes_nothing(ops: Ops) -> None:
    expected = {
        "queue limit hose --rate 1/s": (4, "queue_unknown", "there is no queue hose; the queues are: garden, house"),
        "queue pause hose": (4, "queue_unknown", "hose"),
        "queue resume hose": (4, "queue_unknown", "hose"),
        "queue drain hose": (4, "queue_unknown", "hose"),
        "queue purge hose --yes": (4, "queue_unknown", "hose"),
        "dead list --queue hose": (4, "queue_unknown", "hose"),
        "dead show nothing": (4, "dead_letter_unknown", "`trunkline dead list`"),
        "dead retry nothing": (4, "dead_letter_unknown", "nothing"),
        "dead retry": (2, "usage", "--all"),
        "dead discard x --all": (2, "usage", "--all"),
        "dead list --since soon": (2, "usage", "--since"),
        "queue limit house --rate fast": (2, "limit", "write one like 50/s, 300/min or 1000/h"),
        "queue limit house --rate 0/s": (2, "limit", "pause the queue instead"),
        "queue limit house --rate 1/h --burst 0": (2, "limit", "burst: 0"),
        "queue limit house --rate 9999999/s": (2, "limit", "100000/s"),
        "queue limit house --rate 0.01/h": (2, "limit", "less than one a day"),
        "queue limit house --max-in-flight 0": (2, "limit", "max in flight: 0"),
        "queue limit house --max-in-flight many": (2, "usage", "--max-in-flight"),
        "queue limit house --burst 5": (2, "usage", "--rate"),
        "queue limit house --weight 2": (2, "usage", "--tenant"),
        "queue limit house --tenant acme": (2, "usage", "--rate"),
        "queue limit house --tenant acme --weight 0": (2, "limit", "weight: 0"),
        "queue limit house --tenant acme --fair": (2, "usage", "--fair"),
        "queue watch --every never": (2, "usage", "--every"),
        "queue drain house --timeout -1s": (2, "usage", "--timeout"),
    }
    results = ops.each(*expected, *(f"{line} --json" for line in expected))
    for number, (line, (code, name, words)) in enumerate(expected.items()):
        told, told_to_program = results[number], results[number + len(expected)]
        assert (line, told.code, told.out) == (line, code, "")
        assert words in told.err
        assert (line, told_to_program.code, told_to_program.out) == (line, code, "")
        assert told_to_program.error["code"] == name
        assert words in told_to_program.error["message"]
    assert ops.run(read_queue_limits(NAMESPACE, "house")) == QueueLimits()
    assert not ops.client.exists(f"{NAMESPACE}:house:tenant_limits")


def test_drain_waits_until_nothing_is_in_flight_and_leaves_the_queue_paused(ops: Ops) -> None:
    ops.put("a", "b")
    delivery = ops.begin()
    [given_up] = ops.each("queue drain house --wait --timeout 0.3s")
    assert given_up.code == 3
    assert "1 messages of house are still in flight after 0.3s; it stays paused" in given_up.err
    with ops.cli.running("queue", "drain", "house", "--wait", "--json", TRUNKLINE_LOG_LEVEL="error") as drain:
        wait_until(lambda: ops.state().limits.paused)
        assert drain.poll() is None
        ops.run(queue_commands.settle([delivery], "ack"))
        out, _ = drain.communicate(timeout=20)
    assert drain.returncode == 0
    assert json.loads(out) == {"queue": "house", "paused": True, "in_flight": 0}
    assert (ops.state().waiting, ops.state().runnable) == (1, 0)


def test_purge_asks_first_and_leaves_what_is_in_flight(ops: Ops) -> None:
    ops.put("a", "b", "c")
    ops.begin()
    ops.bury("d", queue="garden")
    refused = ops.cli.run("queue", "purge", "house", said="n\n")
    assert refused.code == 130
    assert "Drop 2 messages of house?" in refused.err
    assert ops.state().waiting == 2
    unasked, to_program = ops.each("queue purge house --yes", "queue purge garden --yes --json")
    assert unasked.out == "house: dropped 2 messages.\n"
    assert (ops.state().waiting, ops.state().in_flight) == (0, 1)
    assert to_program.document == {"queue": "garden", "dropped": 1}
    assert ops.dead("garden") == set()


def test_dead_letters_are_listed_and_shown_with_their_cause_and_without_secrets(ops: Ops) -> None:
    ops.bury("old", "new")
    ops.bury("other", queue="garden", actor="dig")
    hour_ms = 3600 * 1000
    ops.client.zincrby(f"{NAMESPACE}:house.XQ", -2 * hour_ms, "old")
    listed = {
        "dead list --json": {"old", "new", "other"},
        "dead list --queue house --json": {"old", "new"},
        "dead list --actor dig --json": {"other"},
        "dead list --since 1h --json": {"new", "other"},
        "dead list --since 1h --queue house --actor work --json": {"new"},
        "dead list --queue house --limit 1 --json": {"new"},
        "dead list --actor nobody --json": set(),
    }
    results = ops.each(*listed, "dead list", "dead show old", "dead show old --json", "dead list --actor nobody")
    for (line, ids), result in zip(listed.items(), results, strict=False):
        assert (line, {letter["id"] for letter in result.document}) == (line, ids)
    people, shown, shown_to_programs, none = results[len(listed) :]
    assert "it would not" in people.out
    assert "it would not" in shown.out
    letter = shown_to_programs.document
    assert (letter["queue"], letter["actor"], letter["reason"]) == ("house", "work", "failed")
    assert none.out == "There is no dead letter.\n"
    assert "hunter2" not in "".join(result.out for result in results)


def test_dead_letters_that_two_people_put_back_at_once_come_back_once(ops: Ops) -> None:
    ids = [str(number) for number in range(200)]
    ops.bury(*ids)
    lines = ["dead", "retry", "--all", "--json"]
    with ops.cli.running(*lines) as one, ops.cli.running(*lines) as other:
        put_back = [json.loads(process.communicate(timeout=30)[0])["retry"] for process in (one, other)]
    assert sorted(put_back[0] + put_back[1]) == sorted(ids)
    assert ops.state().waiting == len(ids)
    assert ops.dead() == set()
    again, nothing = ops.each("dead retry --all --json", "dead retry 7 --json")
    assert (again.document, nothing.error["code"]) == ({"retry": []}, "dead_letter_unknown")
    assert ops.begin().crashes == 0


def test_only_those_dead_letters_end_that_are_meant(ops: Ops) -> None:
    ops.bury("a", "b", "c")
    ops.bury("d", queue="garden", actor="dig")
    ops.client.zincrby(f"{NAMESPACE}:house.XQ", -2 * 3600 * 1000, "a")
    one, garden, recent = ops.each(
        "dead discard b --json", "dead retry --all --actor dig", "dead discard --all --queue house --since 1h"
    )
    assert one.document == {"discard": ["b"]}
    assert garden.out == "Put back: 1 of 1.\n"
    assert recent.out == "Discarded: 1 of 1.\n"
    assert (ops.dead(), ops.dead("garden")) == ({"a"}, set())
    assert (ops.state().waiting, ops.state("garden").waiting) == (0, 1)


class Collector(BaseHTTPRequestHandler):
    """Takes exports for whoever knows the key; also says which models it has."""

    def do_POST(self) -> None:
        known = self.headers.get("x-key") == "k y"
        right = self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf"
        self._answer((200 if right else 404) if known else 401, b"")

    def do_GET(self) -> None:
        self._answer(200, json.dumps({"object": "list", "data": [{"id": "gpt-small", "object": "model"}]}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def collector() -> Iterator[str]:
    """The URL of a collector."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


NOWHERE = "http://127.0.0.1:1"


def test_the_doctor_says_what_is_wrong_with_each_endpoint(ops: Ops, collector: str) -> None:
    otlp = "OTEL_EXPORTER_OTLP"
    expected: list[tuple[dict[str, str], str, str, str]] = [
        ({}, "model", "warning", "neither OPENAI_API_KEY nor OPENAI_BASE_URL is set"),
        ({"OPENAI_BASE_URL": NOWHERE}, "model", "error", f"cannot reach {NOWHERE}"),
        ({"OPENAI_BASE_URL": collector}, "model", "warning", "set TRUNKLINE_MODEL to one it has, such as gpt-small"),
        ({"OPENAI_BASE_URL": collector, "TRUNKLINE_MODEL": "gpt-small"}, "model", "ok", "has gpt-small"),
        ({}, "traces", "ok", "not exported"),
        ({f"{otlp}_ENDPOINT": NOWHERE}, "traces", "error", f"cannot reach {NOWHERE}/v1/traces"),
        ({f"{otlp}_ENDPOINT": NOWHERE, f"{otlp}_PROTOCOL": "grpc"}, "traces", "error", f"cannot reach {NOWHERE}"),
        ({f"{otlp}_ENDPOINT": collector, f"{otlp}_PROTOCOL": "grpc"}, "traces", "ok", "takes them"),
        ({f"{otlp}_ENDPOINT": collector, f"{otlp}_PROTOCOL": "smoke"}, "traces", "error", f"{otlp}_PROTOCOL"),
        ({f"{otlp}_ENDPOINT": collector}, "traces", "error", f"HTTP 401; see {otlp}_HEADERS"),
        ({f"{otlp}_ENDPOINT": collector, f"{otlp}_HEADERS": "x-key=k%20y"}, "traces", "ok", "takes them"),
        ({f"{otlp}_TRACES_ENDPOINT": collector, f"{otlp}_HEADERS": "x-key=k%20y"}, "traces", "error", "HTTP 404"),
        ({"TRUNKLINE_MODEL_ATTEMPTS": "none"}, "settings", "error", "TRUNKLINE_MODEL_ATTEMPTS"),
    ]
    results = ops.cli.run_each(*((["doctor", "--json"], settings) for settings, *_ in expected))
    for (settings, subject, verdict, words), result in zip(expected, results, strict=True):
        [finding] = [finding for finding in result.document if finding["subject"] == subject]
        assert (settings, finding["verdict"]) == (settings, verdict), finding
        assert words in finding["words"]
        assert result.code == (3 if verdict == "error" else 0)


def test_the_doctor_says_what_is_wrong_with_redis_and_the_queues(ops: Ops) -> None:
    ops.put("a")
    ops.bury("b", queue="garden")
    ops.client.set("{other}:thing", 1)
    ops.client.acl_setuser("limited", enabled=True, passwords=["+pw"], categories=["+@all", "-@scripting"], keys=["*"])
    url = ops.cli.settings["TRUNKLINE_REDIS_URL"].replace("unix://", "unix://limited:pw@")
    ops.client.config_set("maxmemory-policy", "allkeys-lru")  # a warning as long as there is no maxmemory
    try:
        people, programs, of_other, of_limited = ops.cli.run_each(
            (["doctor"], {}),
            (["doctor", "--json"], {}),
            (["doctor", "--json"], {"TRUNKLINE_NAMESPACE": "other"}),
            (["doctor", "--json"], {"TRUNKLINE_REDIS_URL": url}),
        )
    finally:
        ops.client.config_set("maxmemory-policy", "noeviction")
        ops.client.acl_deluser("limited")
    told = _told(programs)
    assert "garden: 1 dead letters; see `trunkline dead list`" in told["queues"]
    assert "no orchestrator is alive" in told["processes"]
    assert "CONFIG SET maxmemory-policy noeviction" in told["Redis"]
    assert all(finding["words"] in people.out for finding in programs.document)
    assert "{other}:thing which are not Trunkline's" in _told(of_other)["Redis"]
    assert people.code == programs.code == of_other.code == 0
    assert "does not run Lua scripts" in _told(of_limited)["Redis"]
    assert (of_limited.code, of_limited.error["code"]) == (3, "unhealthy")
    assert "pw@" not in of_limited.out


def test_keys_of_other_software_in_our_way_are_told_by_the_doctor_and_before_anything_starts(ops: Ops) -> None:
    key = f"{NAMESPACE}:house.msgs"
    ops.client.set(key, "mine")
    looked, started = ops.each("doctor --json", "worker --pool finance")
    assert looked.code == started.code == 3
    assert f"the key {key} is a string, and Trunkline keeps a hash there" in _told(looked)["Redis"]
    assert key in started.err
    assert "set TRUNKLINE_NAMESPACE" in started.err


def _told(result: Result) -> dict[str, str]:
    """What the doctor said of each subject."""
    subjects = {finding["subject"] for finding in result.document}
    return {
        subject: "; ".join(finding["words"] for finding in result.document if finding["subject"] == subject)
        for subject in subjects
    }
