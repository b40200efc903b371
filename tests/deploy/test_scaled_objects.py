"""KEDA scales pods by the signal that one machine scales its processes by."""

import pytest

from messaging.processes.pool_size import BUSY_SHARE
from tests.deploy.exported_metrics import selectors, unexported
from tests.deploy.manifests import DEPLOYMENTS, SCALED, variables_of


@pytest.mark.parametrize("name", sorted(SCALED))
def test_pods_are_added_for_the_signal_and_at_the_share_that_one_machine_scales_by(name: str) -> None:
    variables = variables_of(DEPLOYMENTS[name])
    slots = int(variables["TRUNKLINE_TURNS_AT_ONCE" if name == "orchestrator" else "TRUNKLINE_CALLS_AT_ONCE"])
    queue = name.removeprefix("pool-")
    trigger = SCALED[name]["spec"]["triggers"][0]
    assert (trigger["type"], trigger["metricType"]) == ("prometheus", "AverageValue")
    metadata = trigger["metadata"]
    assert metadata["serverAddress"].startswith("http")
    assert float(metadata["threshold"]) == pytest.approx(slots * BUSY_SHARE)
    assert metadata["ignoreNullValues"] == "false"  # no metric is no reason to take pods away
    assert unexported(metadata["query"]) == []
    asked = {metric for metric, _ in selectors(metadata["query"])}
    assert asked == {"trunkline_queue_runnable", "trunkline_queue_in_flight"}
    assert metadata["query"].count(f'queue="{queue}"') == 2
