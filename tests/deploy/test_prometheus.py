"""Alert rules: valid, tested by Prometheus's own tool where it is installed, and about metrics that are exported."""

import shutil
import subprocess
from typing import Any, Final

import pytest

from tests.deploy.deployment_files import DEPLOY, read_yaml
from tests.deploy.exported_metrics import unexported

FOLDER: Final = DEPLOY / "prometheus"
GROUPS: Final[list[dict[str, Any]]] = read_yaml(FOLDER / "rules.yml")["groups"]
RULES: Final = [rule for group in GROUPS for rule in group["rules"]]
no_promtool = shutil.which("promtool") is None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_is_about_metrics_that_are_exported_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert unexported(rule["expr"]) == []
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert rule["annotations"].keys() == {"summary", "description"}


def test_a_metric_or_a_label_that_is_not_exported_is_found() -> None:
    assert unexported('sum(trunkline_queue_depth{queue="a"}) / sum(trunkline_queue_lenght)') == [
        "trunkline_queue_lenght"
    ]
    assert unexported('rate(trunkline_jobs_total{status="failed"}[5m])') == ["trunkline_jobs_total{status}"]


@pytest.mark.skipif(no_promtool, reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "rules.yml"), ("check", "config", "prometheus.yml"), ("test", "rules", "rules.test.yml")],
    ids=" ".join,
)
def test_prometheus_agrees(arguments: tuple[str, ...]) -> None:
    result = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
