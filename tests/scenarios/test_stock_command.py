"""The standard `dramatiq` command with anybody's actors on our broker: its Prometheus middleware and its prefetch."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import dramatiq
import pytest

from messaging.broker import TrunklineBroker
from tests.redis_nodes import free_port
from tests.scenarios.waiting import wait_until

pytestmark = pytest.mark.scenario

ACTORS = """
import os, pathlib, time
import dramatiq
from dramatiq.middleware.prometheus import Prometheus
from messaging.broker import TrunklineBroker

dramatiq.set_broker(TrunklineBroker(url=os.environ["REDIS_URL"], middleware=[Prometheus()]))

@dramatiq.actor
def wait(number):
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
"""


async def test_its_metrics_count_our_messages_and_its_prefetch_is_kept(redis_url: str, tmp_path: Path) -> None:
    broker = TrunklineBroker(url=redis_url)

    @dramatiq.actor(broker=broker)
    def wait(number: int) -> None:
        """Stands for the one of the same name over there."""

    for number in range(5):
        wait.send(number)
    (tmp_path / "actors.py").write_text(ACTORS)
    port = free_port()
    environment = {
        **os.environ,
        "REDIS_URL": redis_url,
        "dramatiq_queue_prefetch": "1",
        "dramatiq_prom_host": "127.0.0.1",
        "dramatiq_prom_port": str(port),
        "dramatiq_prom_db": str(tmp_path / "prometheus"),
    }
    command: list[str | Path] = [Path(sys.executable).with_name("dramatiq"), "actors", "--processes", "1"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--threads", "4"], env=environment, cwd=tmp_path, stderr=log)  # noqa: ASYNC220

    def metrics() -> dict[str, float]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except (urllib.error.URLError, OSError):
            return {}  # it has not started yet
        return {
            name: float(value)
            for name, value in re.findall(r'^(\w+)\{[^}]*actor_name="wait"[^}]*\} (\S+)$', text, re.M)
        }

    try:
        in_progress = "dramatiq_messages_inprogress"
        await wait_until(lambda: metrics().get(in_progress) == 1, "a message in progress")
        assert broker.client.hlen("{trunkline}:default:deliveries") == 1, "four threads, of which three are idle"
        assert broker.client.llen("{trunkline}:default") == 4
        (tmp_path / "go").touch()
        await wait_until(lambda: metrics().get("dramatiq_messages_total") == 5, "all of them")
        assert metrics()[in_progress] == 0
        assert broker.do_qsize("default") == 0
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        broker.close()
    # No stack of ours; the exporter, if asked while its process starts or ends, may well write one of its own.
    assert "/messaging/" not in (tmp_path / "log").read_text()
