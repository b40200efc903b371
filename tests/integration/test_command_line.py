"""The command line against a deployment that `trunkline up` has started, with a module of tools of a user's."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.caller import Caller
from schemas.events import job_event
from tests.command_line import CommandLine, interrupt, pids_of, wait_until, wait_until_gone
from tests.scenarios.endpoint import Endpoint, Line, ask, call, refuse, say
from trunkline.client import Client

GARDEN = """
import asyncio
from pathlib import Path
from trunkline import tool

@tool(pool="garden", effect="read", permissions={"garden:read"})
def soil_moisture(bed: str) -> str:
    '''Measure how moist the soil of a bed is.'''
    return f"{bed} is dry"

@tool(pool="garden", effect="read", version="1.10.0")
async def wait_for_rain() -> str:
    '''Wait until it rains.'''
    Path("waiting").touch()
    await asyncio.sleep(600)
    return "it rains"

@tool(pool="weather", effect="read")
def forecast() -> str:
    '''Say what the weather will be.'''
    return "dry"
"""
PATIENCE = timedelta(seconds=60)
#: These look at processes the way Linux shows them.
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@dataclass(frozen=True)
class Running:
    """The deployment that all tests of this file share; what is not under test goes through `client`."""

    cli: CommandLine
    endpoint: Endpoint
    facts: Any
    client: Client

    def submit(self, *lines: Line, tenant: str = "default", **fields: Any) -> str:
        """Hands in a job whose model says `lines`; answers its id."""
        caller = Caller(tenant=tenant, permissions=frozenset({"*"}))
        model = self.endpoint.script(*lines)
        return self.client.submit("Is it dry?", model=model, caller=caller, **fields).job_id

    def waiting_job(self) -> str:
        """Hands in a job whose call goes on for ever; answers its id once the call runs."""
        waiting = self.cli.folder / "waiting"
        waiting.unlink(missing_ok=True)
        job_id = self.submit(ask(call("wait_for_rain")))
        wait_until(waiting.exists)
        return job_id

    def outcomes(self, job_id: str) -> list[str | None]:
        """How the calls of a job ended."""
        return [one.outcome.kind if one.outcome else None for one in self.client.calls(job_id)]

    def has(self, tool: str) -> bool:
        """Whether a living worker has a tool."""
        return any(one.specification.name == tool and one.is_alive for one in self.client.tools())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("up")
    (folder / "garden.py").write_text(GARDEN)
    with Endpoint() as endpoint:
        cli = CommandLine(folder, {"OPENAI_API_KEY": "test", "OPENAI_BASE_URL": endpoint.url})
        with cli.up("--tools", "./garden.py", "--pool", "garden=2", "--pool", "weather") as (process, facts):
            with Client(facts["redis"]["url"]) as client:
                yield Running(cli, endpoint, facts, client)
            assert interrupt(process, signal.SIGTERM).code == 0
            wait_until_gone(pids_of(facts))


def test_up_runs_the_pools_that_are_wanted_and_each_process_serves_one_of_them(running: Running) -> None:
    queues = sorted(process["queues"] for process in running.facts["processes"])
    assert queues == [["garden"], ["garden"], ["intake", "orchestrator"], ["weather"]]
    assert running.facts["model"]["stand_in"] is False
    assert running.facts["redis"]["embedded"] is True


def test_a_second_up_on_the_same_data_folder_is_refused_and_says_who_has_it(running: Running) -> None:
    result = running.cli.run("up", "--pool", "finance")
    assert result.code == 3
    assert result.err.startswith("Error: ")
    assert "in use by process" in result.err
    assert "TRUNKLINE_DATA_DIR" in result.err
    assert len(result.err.splitlines()) == 1


def test_submit_prints_the_id_alone_and_follow_tells_the_whole_story(running: Running) -> None:
    model = running.endpoint.script(ask(call("soil_moisture", bed="roses")), say("Water the roses."))
    job_id = running.cli.run("submit", "Is it dry?", "--model", model).out.strip()
    story = running.cli.run("job", "follow", job_id)
    assert story.code == 0
    pids = [str(process["pid"]) for process in running.facts["processes"] if process["queues"] == ["garden"]]
    assert any(f"soil_moisture        garden, process {pid}" in story.out for pid in pids)
    for told in ('bed="roses"', "✓ soil_moisture", "roses is dry", "● completed", "Water the roses."):
        assert told in story.out
    assert "\x1b" not in story.out  # nobody sees colours in a pipe


def test_submit_and_follow_write_a_line_of_json_for_each_event_and_the_result(running: Running) -> None:
    model = running.endpoint.script(ask(call("forecast")), say("It stays dry."))
    result = running.cli.run("submit", "Will it rain?", "--model", model, "--follow", "--json")
    first, *events, last = result.lines
    assert first["type"] == "submitted"
    kinds = [job_event.validate_json(json.dumps(event)).type for event in events]
    assert kinds[0] == "job_accepted"
    assert kinds[-1] == "job_ended"
    assert {"turn_started", "model_answered", "call_started", "call_ended"} <= set(kinds)
    assert last["type"] == "job_result"
    assert last["result"]["job_id"] == first["job_id"]
    assert last["result"]["answer"] == "It stays dry."


def test_wait_prints_the_answer_alone_without_what_would_control_a_terminal(running: Running) -> None:
    model = running.endpoint.script(say("Hello.\x1b]0;owned\x07"))
    result = running.cli.run("submit", "Hello", "--model", model, "--wait")
    assert (result.code, result.out) == (0, "Hello.�]0;owned�\n")


def test_a_job_is_shown_and_listed_with_its_calls_and_hops(running: Running) -> None:
    calls = [call("soil_moisture", bed="roses"), call("soil_moisture", bed="beans"), call("forecast")]
    job_id = running.submit(ask(*calls), say("Water them."), tenant="shown")
    running.client.result(job_id, timeout=PATIENCE)
    mine = ["job", "list", "--tenant", "shown"]
    shown, document, listed, filtered, others = running.cli.run_each(
        (["job", "show", job_id], {}),
        (["job", "show", job_id, "--json"], {}),
        (mine, {}),
        ([*mine, "--since", "1h", "--state", "completed", "--json"], {}),
        ([*mine, "--state", "failed", "--json"], {}),
    )
    for told in ("completed", "2 turns, 3 calls", "soil_moisture #2", "gather", "whole job", "Water them."):
        assert told in shown.out
    assert document.document["job"]["state"] == "completed"
    contents = [one["outcome"]["content"] for one in document.document["calls"]]
    assert contents == ["roses is dry", "beans is dry", "dry"]
    assert job_id in listed.out
    assert [job["job_id"] for job in filtered.document] == [job_id]
    assert others.document == []


def test_where_the_time_of_a_job_went_is_drawn_from_the_ledger(running: Running) -> None:
    job_id = running.submit(ask(call("forecast"), call("soil_moisture", bed="roses")), say("It stays dry.").after(0.1))
    running.client.result(job_id, timeout=PATIENCE)
    drawn = running.cli.run("job", "trace", job_id, TRUNKLINE_JAEGER_URL="http://jaeger.example:16686")
    document = running.cli.run("job", "trace", job_id, "--json").document
    assert drawn.code == 0
    for told in ("queue.wait garden", "execute_tool forecast", "execute_tool soil_moisture", "gather", "chat model-"):
        assert told in drawn.out
    assert "Critical path (●): " in drawn.out
    assert f"http://jaeger.example:16686/trace/{document['trace_id']}" in drawn.out
    assert document["state"] == "completed"
    names = [span["name"].split()[0] for span in document["spans"]]
    assert names[0] == "invoke_agent"
    assert (names.count("chat"), names.count("execute_tool")) == (2, 2)
    assert running.cli.run("job", "trace", "job_a_" + "0" * 26).code == 4


def test_the_report_on_tools_and_models_needs_nothing_but_redis(running: Running) -> None:
    job_id = running.submit(ask(call("forecast")), say("dry"))
    running.client.result(job_id, timeout=PATIENCE)

    def calls() -> int:
        tools = running.cli.run("stats", "--tool", "forecast", "--json").document["tools"]
        return int(tools[0]["calls"]) if tools else 0

    wait_until(lambda: calls() > 0)
    report = running.cli.run("stats").out
    assert "forecast" in report
    assert "p95" in report


def test_a_cancelled_job_makes_who_follows_it_fail(running: Running) -> None:
    job_id = running.waiting_job()
    with running.cli.running("job", "follow", job_id) as follower:
        cancelled = running.cli.run("job", "cancel", job_id, "--reason", "it is winter", "--json")
        out, err = follower.communicate(timeout=PATIENCE.total_seconds())
    assert cancelled.code == 0
    assert cancelled.document["error"] == {"code": "cancelled", "message": "it is winter"}
    assert follower.returncode == 1
    assert "● cancelled" in out
    assert err == f"Error: job {job_id} was cancelled: it is winter\n"


def test_a_failed_job_is_an_exit_code_an_error_and_still_a_result(running: Running) -> None:
    model = running.endpoint.script(refuse(401, "wrong key"))
    result = running.cli.run("submit", "Hello", "--model", model, "--wait", "--json")
    assert result.code == 1
    assert result.document["state"] == "failed"
    assert result.error["code"] == "model_error"
    assert "wrong key" in result.error["message"]


def test_ctrl_c_stops_following_and_not_the_job(running: Running) -> None:
    job_id = running.waiting_job()
    with running.cli.running("job", "follow", job_id) as follower:
        assert follower.stdout is not None
        assert "accepted" in follower.stdout.readline()
        result = interrupt(follower)
    assert result.code == 130
    assert "the job goes on" in result.err
    assert "Traceback" not in result.err
    assert running.client.cancel(job_id).state == "cancelled"  # until now it ran


def test_a_job_comes_from_a_file_too_and_options_go_over_what_it_says(running: Running) -> None:
    model = running.endpoint.script(ask(call("soil_moisture", bed="roses")), say("Done."))
    job = {"model": "none", "messages": [{"role": "user", "content": "Hello"}], "caller": {"permissions": []}}
    said = running.cli.run("submit", "--file", "-", "--model", model, "--wait", "--json", said=json.dumps(job))
    assert running.outcomes(said.document["job_id"]) == ["denied"]  # the file's caller may do nothing
    (running.cli.folder / "job.json").write_text(json.dumps(job))
    options = ["--model", model, "--permission", "garden:read", "--wait", "--json"]
    read = running.cli.run("submit", "--file", "job.json", *options)
    assert running.outcomes(read.document["job_id"]) == ["succeeded"]


def test_the_same_key_is_the_same_job_and_another_one_under_it_is_refused(running: Running) -> None:
    first = running.submit(say("Hello."), idempotency_key="once")
    model = running.client.get(first).model
    assert model is not None
    arguments = ["--model", model, "--idempotency-key", "once", "--json"]
    again, other = running.cli.run_each(
        (["submit", "Is it dry?", *arguments], {}), (["submit", "Is it wet?", *arguments], {})
    )
    assert (again.document["job_id"], again.document["was_known"]) == (first, True)
    assert (other.code, other.error["code"]) == (2, "idempotency_conflict")


def test_tools_are_listed_and_shown_from_the_catalogue(running: Running) -> None:
    listed, shown = running.cli.run_each((["tools", "list", "--json"], {}), (["tools", "show", "soil_moisture"], {}))
    mine = {tool["name"]: tool["is_alive"] for tool in listed.document if tool["pool"] in ("garden", "weather")}
    assert mine == {"soil_moisture": True, "wait_for_rain": True, "forecast": True}
    for told in ("garden:read", '"bed"', "Measure how moist", "alive"):
        assert told in shown.out


def test_what_is_not_there_or_refused_has_a_code_of_its_own(running: Running) -> None:
    expected = {
        ("job", "show", "job_a_00000000000000000000000000"): (4, "job_unknown"),
        ("job", "follow", "nonsense"): (4, "job_unknown"),
        ("job", "cancel", "nonsense"): (4, "job_unknown"),
        ("tools", "show", "forecats"): (4, "tool_unknown"),
        ("tools", "show", "forecast@9.0.0"): (4, "tool_unknown"),
        ("submit", "Hello", "--conversation", "conv_a_00000000000000000000000000"): (2, "unknown_conversation"),
        ("submit", "Hello", "--tools", "no such pattern"): (2, "invalid"),
        ("submit", "Hello", "--timeout", "400d"): (2, "timeout_too_long"),
    }
    results = running.cli.run_each(*(([*arguments, "--json"], {}) for arguments in expected))
    found = {arguments: (one.code, one.error["code"]) for arguments, one in zip(expected, results, strict=True)}
    assert found == expected
    assert {one.out for one in results} == {""}
    (plain,) = running.cli.run_each((["tools", "show", "forecats"], {}))
    assert plain.err == "Error: there is no tool forecats in the catalogue; there is forecast\n"


@on_linux
def test_a_worker_of_its_own_runs_under_a_small_supervisor_and_the_command_line_is_left_behind(
    running: Running,
) -> None:
    with running.cli.running("worker", "--pool", "finance", "--threads", "3") as supervisor:
        wait_until(lambda: running.has("mortgage_payment"))
        [worker] = _children(supervisor)
        assert "-m\0workers" in Path(f"/proc/{worker}/cmdline").read_text()
        assert "-m\0messaging.processes.supervise" in Path(f"/proc/{supervisor.pid}/cmdline").read_text()
        assert _resident_mib(supervisor.pid) < _resident_mib(worker) / 2
        result = interrupt(supervisor, signal.SIGTERM)
    assert result.code == 0
    assert '"slots": 3' in result.err


@on_linux
def test_of_several_workers_one_that_is_killed_is_started_again(running: Running) -> None:
    with running.cli.running("worker", "--pool", "notify", "--processes", "2") as supervisor:
        wait_until(lambda: len(_children(supervisor)) == 2 and running.has("send_message"))
        killed = _children(supervisor).pop()
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: killed not in _children(supervisor) and len(_children(supervisor)) == 2)
        children = _children(supervisor)
        assert interrupt(supervisor).code == 0
    wait_until_gone(children)


def _resident_mib(pid: int) -> float:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def _children(process: "subprocess.Popen[str]") -> set[int]:
    return set(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))
