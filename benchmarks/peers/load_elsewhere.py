"""Our end of a `load_process`: the load of one contender, handed in where its packages are.

All contenders are loaded this way, ours too.
"""

import json
import os
import select
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from benchmarks.load import JobFailed
from messaging.processes.die_with_parent import guarded_command, way_of_this_platform

_ROOT: Final = Path(__file__).parent.parent.parent
_STOP_PATIENCE_S: Final = 10.0
_LOG_TAIL_BYTES: Final = 2000


@dataclass(frozen=True, slots=True)
class Ends:
    """What has become of the jobs of the bursts."""

    missing: Sequence[int]
    """By burst: how many jobs have not ended."""
    last_end_at: Sequence[float]
    """By burst, on the monotonic clock, which all processes share."""
    ended_twice: int
    """Jobs whose end was announced more than once."""


class LoadElsewhere:
    """Hands jobs in. Ends with its `with` block.

    Args:
        python: That has the peer's packages.
        client: The module of `programs` with the peer's client.
        environment: Besides our own.
        log: Where whatever it prints goes.
    """

    def __init__(self, python: Path, client: str, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        command = [str(python), "-m", "benchmarks.peers.load_process", f"benchmarks.peers.programs.{client}"]
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                guarded_command(command, parent=os.getpid(), way=way_of_this_platform()),
                cwd=_ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def first_job(self) -> None:
        """Waits until the contender does jobs at all."""
        self._order("first_job")

    def alone(self, jobs: int) -> list[float]:
        """How long each job took while nothing else ran, ms."""
        latencies_ms: list[float] = self._order("alone", jobs=jobs)["latencies_ms"]
        return latencies_ms

    def keep(self, outstanding: int) -> None:
        """How many jobs `saturate` keeps outstanding."""
        self._order("keep", outstanding=outstanding)

    def saturate(self, duration_s: float) -> float:
        """Hands a job in whenever one ends; answers the jobs a second. Those that are open then stay open."""
        answer = self._order("saturate", duration_s=duration_s)
        return float(answer["jobs"] / answer["took_s"])

    def drain(self) -> None:
        """Waits for those that are open."""
        self._order("drain")

    def burst(self, jobs: int, *, until_ended: int, patience_s: float) -> int:
        """Hands jobs in at once, and waits until some have ended; answers how many."""
        return int(self._order("burst", jobs=jobs, until_ended=until_ended, patience_s=patience_s)["ended"])

    def start_collecting(self, *, patience_s: float) -> None:
        """Goes on waiting for the jobs of all bursts; `collected` answers."""
        self._write("collect", {"patience_s": patience_s})

    def collected(self, *, within_s: float | None = None) -> Ends | None:
        """Waits until all have ended or the patience is over; for some time only, if told so, and then answers None."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], within_s)
        return Ends(**self._read()) if readable else None

    def forget(self) -> None:
        """Leaves the bursts so far alone."""
        self._order("forget")

    def _order(self, order: str, **fields: Any) -> Mapping[str, Any]:
        self._write(order, fields)
        return self._read()

    def _write(self, order: str, fields: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"order": order, **fields}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise JobFailed(f"the load process has ended:\n{self.log()}") from error

    def _read(self) -> Mapping[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: Mapping[str, Any] = json.loads(line) if line else {"failed": "the load process has ended"}
        if "failed" in answer:
            raise JobFailed(f"{answer['failed']}\n{self.log()}")
        return answer

    def log(self) -> str:
        """The end of what it printed."""
        return self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
