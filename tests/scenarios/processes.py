"""Real processes, started as operators do or forked from a server that has imported all, and what befalls them."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.scenarios.faulty_process import Fault, Role, run_process
from tests.scenarios.waiting import wait_until

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(
    ["tests.scenarios.faulty_process", "orchestrator.process", "orchestrator.openai_chat", "workers.process", "uvloop"]
)


class _Handle(Protocol):
    """What `subprocess.Popen` and `multiprocessing.Process` have in common, once adapted."""

    @property
    def pid(self) -> int: ...

    def exit_code(self) -> int | None: ...


@dataclass(frozen=True)
class _Started:
    popen: "subprocess.Popen[bytes]"

    @property
    def pid(self) -> int:
        return self.popen.pid

    def exit_code(self) -> int | None:
        return self.popen.poll()


@dataclass(frozen=True)
class _Forked:
    process: Any  # a ForkServerProcess, which the type stubs have on some platforms only

    @property
    def pid(self) -> int:
        return int(self.process.pid)

    def exit_code(self) -> int | None:
        code: int | None = self.process.exitcode
        return code


@dataclass(frozen=True)
class Process:
    """A process of a deployment."""

    role: str
    handle: _Handle
    log: Path

    @property
    def pid(self) -> int:
        return self.handle.pid

    @property
    def alive(self) -> bool:
        return self.handle.exit_code() is None

    def send(self, number: signal.Signals) -> None:
        """Sends a signal; to stop and go on, SIGSTOP and SIGCONT."""
        os.kill(self.pid, number)

    async def ended(self) -> int:
        """Waits for its end; answers its exit status, or the negative number of the signal that ended it."""
        await wait_until(lambda: not self.alive, f"the end of process {self.pid}")
        code = self.handle.exit_code()
        assert code is not None
        return code

    async def was_killed(self) -> None:
        """Asserts that it dies, or has died, of SIGKILL: that the fault really hit."""
        assert await self.ended() == -signal.SIGKILL

    async def kill(self) -> None:
        """Kills it with SIGKILL."""
        self.send(signal.SIGKILL)
        await self.was_killed()

    def end_of_log(self) -> str:
        """The end of what it logged, without stack traces, for messages of failures."""
        lines = [f"== {self.log.name}"]
        for line in self.log.read_text(errors="replace").splitlines()[-10:]:
            if not line.startswith("{"):
                lines.append(line)
                continue
            entry = json.loads(line)
            raised = entry.pop("exception", "").splitlines()[-1:]
            shown = [f"{name}={entry[name]}" for name in sorted(entry.keys() - {"level", "timestamp", "event"})]
            lines.append(" ".join([entry["timestamp"], entry["level"], entry["event"], *shown, *raised]))
        return "\n".join(lines)


def start_module(module: str, environment: Mapping[str, str], *, log: Path, arguments: Sequence[str] = ()) -> Process:
    """Starts `python -P -m <module>`, in the folder of its log."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TRUNKLINE_", "OPENAI_"))}
    command = [sys.executable, "-P", "-m", module, *arguments]
    with log.open("ab") as stream:
        popen = subprocess.Popen(command, env={**inherited, **environment}, cwd=log.parent, stderr=stream)
    return Process(module, _Started(popen), log)


def start_fork(
    role: Role, environment: Mapping[str, str], *, log: Path, faults: Sequence[Fault] = (), copies: int = 1
) -> Process:
    """Starts the same as a fork, perhaps with faults; see `tests.scenarios.faulty_process`."""
    process = _forking.Process(target=run_process, args=(role, environment, log, faults, copies), daemon=True)
    process.start()
    return Process(role, _Forked(process), log)
