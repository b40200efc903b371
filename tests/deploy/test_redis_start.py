"""The script that starts the Redis of `deploy/`."""

import os
import subprocess
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_a_missing_password_stops_the_start(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "DATA": str(tmp_path), "ADMIN_PASSWORD": "short"}
    command = ["sh", str(DEPLOY / "redis/start.sh")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (2, "ADMIN_PASSWORD: set a password of 16 characters or more\n")
    assert list(tmp_path.iterdir()) == []
