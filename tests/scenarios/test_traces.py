"""Orchestrators, workers and telemetry are killed in the middle of 200 jobs: every trace is complete all the same."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ledger.feed import read_feed_counts
from schemas.trace_ids import trace_id_of
from telemetry.metrics import instruments as of
from telemetry.metrics.fields import read_series
from telemetry.metrics.keeper import METRICS_GROUP
from telemetry.metrics.store import read_metrics
from telemetry.process import TRACES
from tests.otlp_receiver import OtlpReceiver
from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import ask, call, say
from tests.scenarios.processes import Process
from tests.scenarios.waiting import all_of, wait_until
from tests.trace_tree import check_trace, tree_of, unique_spans

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]

JOBS: Final = 200


async def test_kills_leave_every_trace_complete_and_count_nothing_twice(deployment: Deployment) -> None:
    with OtlpReceiver() as receiver:
        workers = [deployment.start("workers", pool="alpha,delta", calls_at_once=32) for _ in range(2)]
        orchestrators = [deployment.start("orchestrator") for _ in range(2)]
        await deployment.serving(*workers, *orchestrators)
        telemetry = _start_telemetry(deployment, receiver)
        calls = ask(call("nap", seconds=0.02), call("quick"))
        model = deployment.endpoint.script(calls, calls, say("done"))
        receiver.answers.clear()
        long = deployment.endpoint.script(ask(call("nap", seconds=2)), say("done"))
        jobs = await all_of(deployment.submit(f"job {number}", model=model) for number in range(1, JOBS))
        held = await deployment.submit("is under way when its worker dies", model=long)
        await deployment.noted("begin", held)
        for worker in workers:
            await worker.kill()
        await orchestrators[0].kill()
        for _ in workers:
            deployment.start("workers", pool="alpha,delta", calls_at_once=32)
        deployment.start("orchestrator")
        # It has exported a batch and not heard that it was taken: whoever takes over exports it again.
        await wait_until(lambda: bool(receiver.received), "the first export")
        await telemetry.kill()
        receiver.answers.set()
        _start_telemetry(deployment, receiver)
        results = await all_of(deployment.result(job) for job in [*jobs, held])
        assert {result.state for result in results} == {"completed"}
        await wait_until(lambda: _is_read(deployment), "the feed to be read")
        spans = unique_spans(receiver.received)
        assert len(spans) < len(receiver.received), "nothing was exported twice"
        by_trace: dict[str, list[Span]] = defaultdict(list)
        for span in spans:
            by_trace[span.trace_id.hex()].append(span)
        roots = [tree_of(by_trace[trace_id_of(result.job_id)], result.job_id) for result in results]
        outcomes: Counter[tuple[str, str]] = Counter()
        for root, result in zip(roots, results, strict=True):
            calls_of_job = await deployment.calls(result)
            check_trace(root, result, calls_of_job)
            outcomes.update((one.tool.partition("@")[0], one.outcome.kind) for one in calls_of_job if one.outcome)
        nodes = [node for root in roots for node in root.walk()]
        assert any(node.attributes.get("trunkline.attempt.end") == "lost" for node in nodes), "no kill hit anything"
        series = read_series([deployment.ask(read_metrics()).totals])
        assert Counter({labels[1]: n for labels, n in series[of.JOBS].numbers.items()}) == {model: JOBS - 1, long: 1}
        assert {(labels[0], labels[-1]): n for labels, n in series[of.TOOL_CALLS].numbers.items()} == outcomes
        chats = series[of.CLIENT_OPERATION_DURATION].histograms.values()
        assert sum(chat.count for chat in chats) == sum(node.name.startswith("chat") for node in nodes)
        counts = deployment.ask(read_feed_counts(deployment.prefix, "traces"))
        assert (counts["spans"], counts["dropped"], counts["lost"]) == (len(spans), 0, 0)


def _start_telemetry(deployment: Deployment, receiver: OtlpReceiver) -> Process:
    settings: dict[str, Any] = {"otel_exporter_otlp_endpoint": receiver.url, "otel_exporter_prometheus_port": 0}
    return deployment.start("telemetry", entry="module", **settings)


def _is_read(deployment: Deployment) -> bool:
    groups: Sequence[dict[str, Any]] = deployment.redis.xinfo_groups(f"{deployment.prefix}:feed")
    read = {group["name"] for group in groups if group["pending"] == 0 and group["lag"] == 0}
    return read >= {TRACES.encode(), METRICS_GROUP.encode()}
