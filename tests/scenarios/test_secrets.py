"""What was said, and the secrets that processes were given, are in nothing that a deployment tells of itself."""

import asyncio
import signal
import socket
from typing import Any, Final

import httpx2
import pytest

from messaging.dead_letters import read_dead_letters
from tests.otlp_receiver import OtlpReceiver
from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import Reply, Request, ask, at_first, call, refuse, say
from tests.scenarios.messages import dead_letters, message, push
from tests.scenarios.waiting import wait_until

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]

# Of forms that nothing gives away.
SAID: Final = "c4nary-that-was-said"
API_KEY: Final = "c4nary0of1the2endpoint"
PASSWORD: Final = "c4nary/of redis"
IN_URL: Final = "c4nary%2Fof%20redis"
HEADER: Final = "c4nary0of1the2collector"


async def test_secrets_and_what_was_said_are_in_no_span_line_metric_or_dead_letter(deployment: Deployment) -> None:
    deployment.redis.acl_setuser(
        deployment.namespace,
        enabled=True,
        passwords=[f"+{PASSWORD}"],
        keys=["*"],
        channels=["*"],
        categories=["+@all"],
    )
    secret_url = deployment.redis_url.replace("://", f"://{deployment.namespace}:{IN_URL}@")
    secrets: dict[str, Any] = {"redis_url": secret_url, "openai_api_key": API_KEY, "log_level": "debug"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with OtlpReceiver() as receiver:
        receiver.answer = 503
        deployment.start("orchestrator", entry="module", **secrets)
        deployment.start("workers", entry="module", pool="alpha,delta", **secrets)
        deployment.start(
            "telemetry",
            entry="module",
            **secrets,
            otel_exporter_otlp_endpoint=receiver.url,
            otel_exporter_otlp_headers=f"x-team={HEADER}",
            otel_metrics_exporter="otlp,prometheus",
            otel_metric_export_interval=200,
            otel_exporter_prometheus_port=port,
        )
        await deployment.serving(*deployment.processes[:2])
        await _jobs(deployment)
        bad = [
            push(deployment, "alpha", f'{{"text": "{SAID}'.encode()),
            push(deployment, "alpha", message("alpha", "no_such_actor", {"text": SAID, "api_key": API_KEY})),
            push(deployment, "intake", message("intake", "accept_job", {"job": {"prompt": SAID}})),
        ]
        await wait_until(lambda: receiver.refused > 0, "the collector to be tried")
        receiver.answer = 200
        await wait_until(lambda: bool(receiver.received and receiver.metrics), "spans and metrics")
        await wait_until(lambda: _dead(deployment) >= set(bad), "the dead letters")
        assert deployment.redis.client_kill_filter(user=deployment.namespace), "nobody was connected by that password"
        assert (await deployment.finish(SAID, model=deployment.endpoint.script(say(SAID)))).state == "completed"
        async with httpx2.AsyncClient() as browser:
            page = (await browser.get(f"http://127.0.0.1:{port}/metrics")).text
        assert "trunkline" in page
        given = {value for headers in receiver.headers for name, value in headers.items() if name.lower() == "x-team"}
        assert given == {HEADER}
        for process in deployment.processes:
            process.send(signal.SIGTERM)
        await asyncio.gather(*(process.ended() for process in deployment.processes))
    letters = [letter for queue in ("alpha", "intake") for letter in deployment.ask(read_dead_letters(queue))]
    told = {
        **{f"{process.role}'s log": process.log.read_text() for process in deployment.processes},
        "spans": "\n".join(map(str, receiver.received)),
        "metrics": "\n".join(map(str, receiver.metrics)),
        "the page for Prometheus": page,
        "dead letters": "\n".join(map(str, letters)),
    }
    for where, text in told.items():
        assert text, f"{where} are empty"
        assert "c4nary" not in text, f"{where}: " + "\n".join(line for line in text.splitlines() if "c4nary" in line)


async def _jobs(deployment: Deployment) -> None:
    def wrong_key(request: Request) -> Reply:
        return refuse(401, f"Incorrect API key provided: {request.headers['authorization'].removeprefix('Bearer ')}.")

    busy = at_first(1, refuse(429, f"{API_KEY} is too fast", retry_after="0"), say(SAID))
    calls = ask(
        call("look", text=SAID),
        call("stumble", kind="error"),
        call("look", wrong=SAID),
        call(SAID),
        call("look", raw=f'{{"text": "{SAID}'),
        call("third_time"),
        content=SAID,
    )
    private = {"caller": {"user": SAID, "roles": [SAID]}, "metadata": {"note": SAID}}
    done = await deployment.completed(SAID, model=deployment.endpoint.script(calls, busy), **private)
    assert done.answer == SAID
    refused = await deployment.finish(SAID, model=deployment.endpoint.script(wrong_key), **private)
    assert refused.state == "failed"
    assert "Incorrect API key provided: ***." in str(refused.error)


def _dead(deployment: Deployment) -> set[str]:
    return {id for queue in ("alpha", "intake") for id in dead_letters(deployment, queue)}
