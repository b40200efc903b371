"""A telemetry process as a supervisor or a container runs it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from messaging.embedded.embedded_redis import EmbeddedRedis


def test_it_stops_also_while_redis_is_away(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "redis") as server:
        environment = {**os.environ, "TRUNKLINE_REDIS_URL": server.url, "OTEL_EXPORTER_PROMETHEUS_PORT": "0"}
        command = [sys.executable, "-P", "-m", "telemetry"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            while "exports the metrics from now on" not in process.stderr.readline():
                assert process.poll() is None
            os.kill(server.pid, signal.SIGKILL)
            process.send_signal(signal.SIGTERM)
            try:
                _, said = process.communicate(timeout=60)
            finally:
                process.kill()
    assert process.returncode == 0
    assert "Traceback" not in said, said
