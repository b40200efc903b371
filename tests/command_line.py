"""The real console script, run as people run it: as a process, with an environment and a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, Final

from messaging.embedded.data_folder import process_exists

SCRIPT: Final = Path(sys.executable).with_name("trunkline")
#: No condition of a test that passes takes this long.
_PATIENCE_S: Final = 60


@dataclass(frozen=True)
class Result:
    """What a command wrote, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output, which is one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Standard output, which is lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> Any:
        """Standard error, which is one JSON document with an error."""
        return json.loads(self.err)["error"]


@dataclass(frozen=True)
class CommandLine:
    """Runs `trunkline` in a folder, with nothing of the tester's own settings.

    Attributes:
        folder: The current folder of the commands; their data folder is `data` in it.
        settings: Variables of the environment.
    """

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, said: str | None = None, **settings: str) -> Result:
        """Runs a command to its end; `said` is its standard input."""
        process = self._start(arguments, settings, stdin=subprocess.PIPE)
        out, err = process.communicate(said, timeout=_PATIENCE_S)
        return Result(process.returncode, out, err)

    def run_each(self, *lines: tuple[Sequence[str], Mapping[str, str]]) -> list[Result]:
        """Runs command lines with their settings in one process, one after the other: starting is most of the time."""
        process = self._start([], {}, stdin=subprocess.PIPE, program=[sys.executable, __file__])
        out, err = process.communicate(json.dumps(lines), timeout=_PATIENCE_S)
        assert process.returncode == 0, err
        return [Result(**result) for result in json.loads(out)]

    @contextmanager
    def running(self, *arguments: str, **settings: str) -> Iterator["subprocess.Popen[str]"]:
        """Runs a command in the background, and kills it at the end if it still runs."""
        process = self._start(arguments, settings, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    @contextmanager
    def up(self, *arguments: str, **settings: str) -> Iterator[tuple["subprocess.Popen[str]", Any]]:
        """`trunkline up --json` in the background; yields it, and what it says of itself, once all is alive."""
        with self.running("up", "--json", *arguments, **settings) as process:
            assert process.stdout is not None
            text = ""
            for line in process.stdout:
                text += line
                if line == "}\n":
                    break
            assert text.endswith("\n}\n"), process.communicate()
            yield process, json.loads(text)

    def _start(
        self,
        arguments: Sequence[str],
        settings: Mapping[str, str],
        *,
        stdin: int,
        program: Sequence[str] = (str(SCRIPT),),
    ) -> "subprocess.Popen[str]":
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("TRUNKLINE_", "OPENAI_"))}
        data = {"TRUNKLINE_DATA_DIR": str(self.folder / "data")}
        return subprocess.Popen(
            [*program, *arguments],
            env={**mine, **data, **self.settings, **settings},
            cwd=self.folder,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def pids_of(deployment: Any) -> set[int]:
    """All processes that `trunkline up --json` or `trunkline demo --json` has started."""
    parts = [deployment["redis"], deployment["model"], *deployment["processes"]]
    return {part["pid"] for part in parts if part["pid"] is not None}


def interrupt(process: "subprocess.Popen[str]", number: signal.Signals = signal.SIGINT) -> Result:
    """Sends a signal and waits for the end."""
    process.send_signal(number)
    out, err = process.communicate(timeout=_PATIENCE_S)
    return Result(process.returncode, out, err)


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits for a condition; only a failure takes long."""
    give_up_at = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come true"
        time.sleep(0.01)


def wait_until_gone(pids: set[int]) -> None:
    """Waits until none of the processes exists."""
    assert pids
    wait_until(lambda: not any(process_exists(pid) for pid in pids))


def _run_each() -> None:
    from trunkline.command_line.program import run

    results = []
    for arguments, settings in json.load(sys.stdin):
        before = dict(os.environ)
        os.environ.update(settings)
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            code = run(arguments)
        os.environ.clear()
        os.environ.update(before)
        results.append({"code": code, "out": out.getvalue(), "err": err.getvalue()})
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    _run_each()
