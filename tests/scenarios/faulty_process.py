"""The entry of processes that go wrong at an exact place, once.

A process started here is `python -m orchestrator` or `python -m workers` in all but its start, which is a fork of a
server that has imported both: so a test can afford to kill many. A fault wraps what carries commands to Redis.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import redis

from messaging import script
from messaging.command import Command
from messaging.command_runner import PipeliningRunner
from messaging.errors import OperatorError
from messaging.queue_commands import Fetched
from workers.errors import WorkersError

Role = Literal["orchestrator", "workers", "telemetry"]
_PR_SET_PDEATHSIG = 1

#: Appended to the fragment `queues`. What is promoted from the schedule has been copied before; answers to upstreams
#: are not ours to repeat, since whoever counts them counts messages.
_COPYING = """
local enqueue_once = enqueue
enqueue = function(queue, id, body, lane)
  enqueue_once(queue, id, body, lane)
  if not string.find(id, '!', 1, true) and string.sub(queue, 1, 6) ~= 'reply.' then
    for copy = 2, COPIES do enqueue_once(queue, id .. '!' .. copy, body, lane) end
  end
end
"""


@dataclass(frozen=True)
class Fault:
    """What goes wrong, the first time that its place is reached by any process.

    Attributes:
        when: `before` the named script is sent, or `after` its answer is here, the process kills itself with SIGKILL;
            with `lose` the answer gets lost, and the connection is.
        script: The name of the script.
        marker: A file that says that it has happened.
    """

    when: str
    script: str
    marker: Path

    @property
    def has_hit(self) -> bool:
        """Whether it has happened."""
        return self.marker.exists()

    def hits(self, when: str, command: Command[Any], answer: Any = None) -> bool:
        """Whether it happens now. A fetch that fetched nothing does not count."""
        if when != self.when or command.script is None or command.script.name != self.script:
            return False
        if isinstance(answer, Fetched) and not answer.deliveries:
            return False
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def run_process(
    role: Role, environment: Mapping[str, str], log: Path, faults: Sequence[Fault] = (), copies: int = 1
) -> None:
    """Runs a process until it is told to stop, or until its fault hits.

    Args:
        role: What it is.
        environment: The variables that its settings are read from.
        log: Where standard error goes.
        faults: What goes wrong.
        copies: How often every message that it enqueues is delivered.
    """
    _die_with_parent()
    for name in [name for name in os.environ if name.startswith(("TRUNKLINE_", "OPENAI_"))]:
        del os.environ[name]
    os.environ.update(environment)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    _install(faults)
    if copies > 1:
        enqueue_copies(copies)
    try:
        if role == "orchestrator":
            from orchestrator.process import main
        else:
            from workers.process import main
        main()
    except (OperatorError, WorkersError) as error:
        sys.exit(str(error))


def enqueue_copies(copies: int) -> None:
    """From now on, whatever this process enqueues is in its queue several times, under ids of their own."""
    load_fragment = script._fragment

    def fragment(package: str, name: str) -> str:
        source = load_fragment(package, name)
        return source + _COPYING.replace("COPIES", str(copies)) if name == "queues" else source

    script._fragment = fragment
    script.load_script.cache_clear()


def _install(faults: Sequence[Fault]) -> None:
    run_once = PipeliningRunner.run_once

    async def faulty_run_once(self: PipeliningRunner, command: Command[Any]) -> Any:
        if any(fault.hits("before", command) for fault in faults):
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await run_once(self, command)
        if any(fault.hits("after", command, answer) for fault in faults):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(fault.hits("lose", command, answer) for fault in faults):
            raise redis.ConnectionError("the answer got lost, as a test wants it")
        return answer

    PipeliningRunner.run_once = faulty_run_once  # type: ignore[method-assign]


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
