"""What the command line starts, and that nothing of it stays; and what it says when it cannot start."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from messaging.embedded.data_folder import process_exists
from messaging.embedded.runtime_file import find_running
from tests.command_line import SCRIPT, CommandLine, interrupt, pids_of, wait_until_gone


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_up_leaves_no_process(cli: CommandLine, number: signal.Signals) -> None:
    with cli.up("--pool", "finance") as (process, facts):
        assert facts["model"]["stand_in"]
        assert len(pids_of(facts)) == 4
        assert all(map(process_exists, pids_of(facts)))
        result = interrupt(process, number)
    wait_until_gone(pids_of(facts))
    assert result.code == (0 if number == signal.SIGINT else -number)
    assert "Traceback" not in result.err
    assert find_running(cli.folder / "data") is None


def test_two_demos_at_once_show_calls_in_different_processes_and_leave_nothing(cli: CommandLine) -> None:
    temporary = cli.folder / "tmp"
    temporary.mkdir()
    with cli.running("demo", "--json", TMPDIR=str(temporary)) as other:
        told = cli.run("demo", TMPDIR=str(temporary))
        out, err = other.communicate(timeout=60)
    assert told.code == 0, told.err
    for line in ("no language model", "→ search_properties", "✓ mortgage_payment", "✓ schedule_viewing", "whole job"):
        assert line in told.out
    assert "\x1b" not in told.out
    assert "processes: finance (process " in told.out
    assert other.returncode == 0, err
    document = json.loads(out)
    assert [job["job"]["state"] for job in document["jobs"]] == ["completed", "completed"]
    conversations = {job["job"]["conversation_id"] for job in document["jobs"]}
    assert len(conversations) == 1
    ran_in = {hop["pid"] for hop in document["jobs"][0]["hops"] if hop["kind"] == "call" and hop["turn"] == 1}
    assert len(ran_in) == 2
    wait_until_gone(pids_of(document))
    assert list(temporary.glob("trunkline-demo-*")) == []


def test_what_cannot_start_says_why_in_a_paragraph(cli: CommandLine) -> None:
    (cli.folder / "broken.py").write_text("1 / 0\n")
    dead = {"TRUNKLINE_REDIS_URL": "redis://127.0.0.1:1"}
    expected: list[tuple[list[str], dict[str, str], int, str]] = [
        (["up", "--tools", "./broken.py"], {}, 2, "broken.py:1"),
        (["up"], {"TRUNKLINE_TURNS_AT_ONCE": "many"}, 2, "TRUNKLINE_TURNS_AT_ONCE"),
        (["up", "--pool", "finance=0"], {}, 2, "--pool: use numbers from 1 to 256"),
        (["up", "--pool", "finance=1-4"], {}, 2, "with --autoscale"),
        (["up", "--pool", "finance=4-1", "--autoscale"], {}, 2, "the smaller one first"),
        (["up", "--autoscale", "--scale-down-after", "soon"], {}, 2, "--scale-down-after"),
        (["up", "--pool", "gardens"], {}, 2, "No tool of the pool 'gardens' was found"),
        (["worker", "--pool", "gardens"], {}, 2, "No tool of the pool 'gardens' was found"),
        (["worker", "--pool", "finance"], dead, 3, "redis://127.0.0.1:1"),
        (["orchestrator", "--processes", "2"], {}, 3, "start `trunkline up` or set TRUNKLINE_REDIS_URL"),
        (["submit", "Hello", "--if-busy", "perhaps"], {}, 2, "--if-busy"),
        (["submit", "Hello", "--timeout", "soon"], {}, 2, "--timeout"),
        (["submit", "--file", "missing.json"], {}, 2, "missing.json"),
        (["submit"], {}, 2, "TEXT"),
        (["job", "list"], {}, 3, "start `trunkline up` or set TRUNKLINE_REDIS_URL"),
        (["job", "list"], {"TRUNKLINE_REDIS_URL": "nonsense"}, 2, "TRUNKLINE_REDIS_URL"),
        (["job", "list", "--since", "soon"], {}, 2, "--since"),
        (["tools", "list", "--tools", "./nothing.py"], {}, 2, "nothing.py"),
        (["grow"], {}, 2, "'grow'"),
    ]
    results = cli.run_each(*((arguments, settings) for arguments, settings, _, _ in expected))
    for (arguments, _, code, told), result in zip(expected, results, strict=True):
        assert (arguments, result.code) == (arguments, code)
        assert result.err.startswith("Error: ")
        assert told in result.err
        assert "Traceback" not in result.err
        assert result.out == ""


def test_what_a_module_declares_is_listed_without_redis(cli: CommandLine) -> None:
    (cli.folder / "garden.py").write_text(
        "from trunkline import tool\n\n@tool(pool='garden')\ndef water(bed: str) -> None:\n    '''Water a bed.'''\n"
    )
    listed = cli.run("tools", "list", "--tools", "garden", "--json").document
    assert [(tool["name"], tool["effect"], "is_alive" in tool) for tool in listed] == [("water", "unsafe", False)]


def test_a_folder_named_like_a_package_of_ours_is_told_by_both_paths(cli: CommandLine) -> None:
    theirs = cli.folder / "workers"
    theirs.mkdir()
    (theirs / "__init__.py").touch()
    assert cli.run("--version").code == 0  # the current folder alone hides nothing
    result = cli.run("job", "list", PYTHONPATH=str(cli.folder))
    assert result.code == 2
    assert f"workers: {theirs} hides Trunkline's own {Path(__file__).parents[2] / 'workers'}" in result.err
    assert json.loads(cli.run("job", "list", "--json", PYTHONPATH=str(cli.folder)).err)["error"]["code"]


def test_help_tells_the_exit_codes_and_imports_nothing_heavy() -> None:
    program = "import sys; from trunkline.command_line.program import run; run(['--help']); print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "130 interrupted" in told
    assert {"redis", "pydantic_settings", "dramatiq", "openai", "trunkline.client"}.isdisjoint(told.split())


def test_a_supervisor_imports_the_standard_library_only() -> None:
    module = "messaging.processes.supervise"
    program = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    foreign = {name.partition(".")[0] for name in imported.split()} - sys.stdlib_module_names - {"messaging"}
    assert foreign == set()


def test_a_reader_that_goes_away_is_no_error(cli: CommandLine) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [str(SCRIPT), "tools", "list", "--tools", "workers.pools.finance.tools"]
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (result.returncode, result.stderr) == (141, "")
