"""What a process answers to whoever probes it: the truth about its loop, its worker and its Redis."""

import asyncio
import os
import signal
import socket
import urllib.error
import urllib.request

import pytest

from messaging.embedded.embedded_redis import EmbeddedRedis
from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import Endpoint, ask, call, say
from tests.scenarios.waiting import wait_until

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _ask(port: int, path: str, *, timeout: float = 5.0) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


async def _answers(port: int, path: str, status: int) -> None:
    await wait_until(lambda: _ask(port, path)[0] == status, f"{status} for {path}")


async def test_probes_tell_a_hung_loop_and_a_redis_that_is_away_apart(
    endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, port = tmp_path_factory.mktemp("health"), _free_port()
    with EmbeddedRedis(folder, fsync="no") as server:
        deployment = Deployment(server.url, endpoint, folder, namespace="health")
        try:
            await deployment.run("orchestrator")
            worker = await deployment.run("workers", pool="alpha", health_port=port)
            await _answers(port, "/ready", 200)
            assert _ask(port, "/live")[0] == 200
            assert _ask(port, "/other")[0] == 404

            os.kill(server.pid, signal.SIGSTOP)
            await _answers(port, "/ready", 503)
            assert "no beat for" in _ask(port, "/ready")[1]
            assert _ask(port, "/live")[0] == 200  # killing every worker would not bring Redis back
            os.kill(server.pid, signal.SIGCONT)
            await _answers(port, "/ready", 200)

            model = endpoint.script(ask(call("hold_interpreter", seconds=2)), say("done"))
            job = await deployment.submit(model=model)
            await deployment.noted("begin", job)
            assert await asyncio.to_thread(_ask, port, "/live", timeout=0.3) == (0, "timed out")
            await deployment.result(job)
            await _answers(port, "/live", 200)

            other = deployment.start("workers", pool="beta", entry="module", health_port=port)
            assert await other.ended() == 1
            assert f"TRUNKLINE_HEALTH_PORT: cannot listen on {port}" in other.log.read_text()
            assert worker.alive
        finally:
            await deployment.client.close()
            deployment.stop_all()
