"""The stand-in for a model, as a process of its own that ends with this one."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import Final

import structlog

from messaging.processes.die_with_parent import guarded_command, way_of_this_platform
from trunkline.command_line.failures import DeploymentFailed

__all__ = ["StandInModel"]

_log = structlog.get_logger(__name__)

_START_PATIENCE_S: Final = 30.0
_LOOK_AGAIN_S: Final = 0.01
_PAUSE_AFTER_DEATH_S: Final = 1.0


class StandInModel:
    """Runs `python -m trunkline.offline_model`. Use it from the main thread only: it ends with the thread."""

    def __init__(self) -> None:
        self.base_url = ""
        """Where it answers, once `wait` has returned."""
        self.name = ""
        """What it calls itself, likewise."""
        self._process: subprocess.Popen[bytes] | None = None
        # A file and not a pipe: nobody has to keep reading it.
        self._says = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._start_at = 0.0

    @property
    def environment(self) -> dict[str, str]:
        """What sends an orchestrator here."""
        return {"OPENAI_BASE_URL": self.base_url, "OPENAI_API_KEY": "none-needed", "TRUNKLINE_MODEL": self.name}

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it; `wait` for its address."""
        self._spawn(port="0")

    def wait(self) -> None:
        """Waits until it has said its address.

        Raises:
            DeploymentFailed: It does not start; what it wrote is on standard error.
        """
        give_up_at = time.monotonic() + _START_PATIENCE_S
        while not (line := self._first_line()):
            assert self._process is not None
            if (status := self._process.poll()) is not None:
                why = f"exit status {status}; what it wrote is above"
                raise DeploymentFailed("model_start", f"the stand-in model did not start: {why}")
            if time.monotonic() > give_up_at:
                raise DeploymentFailed("model_start", "the stand-in model did not say its address")
            time.sleep(_LOOK_AGAIN_S)
        said = json.loads(line)
        self.base_url, self.name = said["base_url"], said["model"]

    def look(self) -> None:
        """Starts it again at the same address if it has died."""
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self._spawn(port=self.base_url.rpartition(":")[2].partition("/")[0])
        elif (status := self._process.poll()) is not None:
            _log.error("the stand-in model died and is started again", pid=self._process.pid, exit_status=status)
            self._process, self._start_at = None, time.monotonic() + _PAUSE_AFTER_DEATH_S

    def stop(self) -> None:
        """Ends it at once: it has nothing to finish."""
        if self._process is not None:
            with suppress(ProcessLookupError):  # it has died
                os.killpg(self._process.pid, signal.SIGKILL)  # as the leader of a session, with whatever guards it
            self._process.wait()
            self._process = None
        self._says.close()

    def _spawn(self, *, port: str) -> None:
        command = [sys.executable, "-P", "-m", "trunkline.offline_model", "--port", port]
        guarded = guarded_command(command, parent=os.getpid(), way=way_of_this_platform())
        # The command is ours. In a session of its own, so that Ctrl-C reaches it after those that need it.
        self._process = subprocess.Popen(guarded, stdout=self._says, start_new_session=True)  # noqa: S603

    def _first_line(self) -> str:
        # Read at a place, since the child shares the file's position.
        line, newline, _ = os.pread(self._says.fileno(), 4096, 0).partition(b"\n")
        return line.decode().strip() if newline else ""
