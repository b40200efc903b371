"""The Kubernetes manifests: valid, and true to what the code does."""

import shutil
import subprocess
from datetime import timedelta
from typing import Final

import pytest
import yaml

from messaging.settings import DeploymentSettings, load_settings
from orchestrator.settings import OrchestratorSettings
from telemetry.settings import TelemetrySettings
from tests.deploy.deployment_files import DEPLOY
from tests.deploy.kubernetes_schemas import mistakes
from tests.deploy.manifests import (
    BASE,
    DEPLOYMENTS,
    KUBERNETES,
    POOLS,
    SCALED,
    Manifest,
    manifests,
    pod_of,
    variables_of,
)
from trunkline.command_line.program import run
from workers.registry import ToolRegistry, shipped_pools
from workers.settings import WorkerSettings

#: How much longer than its children's own stop time-out the supervisor in a pod waits before it kills them.
SUPERVISOR_MARGIN: Final = timedelta(seconds=5)
SETTINGS: Final[dict[str, type[DeploymentSettings]]] = {
    "orchestrator": OrchestratorSettings,
    "telemetry": TelemetrySettings,
}
"""Of each process but the workers."""


@pytest.mark.parametrize("manifest", [*BASE, *manifests(DEPLOY / "redis")], ids=lambda one: one["metadata"]["name"])
def test_every_manifest_fits_its_schema(manifest: Manifest) -> None:
    assert mistakes(manifest) == []


def test_the_schemas_find_a_field_that_does_not_exist_and_a_value_of_the_wrong_kind() -> None:
    deployment = yaml.safe_load(yaml.safe_dump(DEPLOYMENTS["orchestrator"]))
    pod_of(deployment)["containers"][0]["livenessProbe"]["httpGet"]["pth"] = "/live"
    scaled = yaml.safe_load(yaml.safe_dump(SCALED["orchestrator"]))
    scaled["spec"]["maxReplicaCount"] = "many"
    assert "pth" in mistakes(deployment)[0]
    assert "maxReplicaCount: 'many'" in mistakes(scaled)[0]


@pytest.mark.parametrize("overlay", ["redis-in-cluster", "managed-redis"])
def test_an_overlay_renders_to_valid_manifests(overlay: str) -> None:
    command = next(
        ([tool, *verb] for tool, *verb in (("kustomize", "build"), ("kubectl", "kustomize")) if shutil.which(tool)),
        None,
    )
    if command is None:
        pytest.skip("neither kustomize nor kubectl is installed")
    rendered = subprocess.run(
        [*command, str(KUBERNETES / "overlays" / overlay)], capture_output=True, text=True, check=False
    )
    assert rendered.returncode == 0, rendered.stderr
    documents = list(yaml.safe_load_all(rendered.stdout))
    assert {one["metadata"]["name"] for one in BASE} <= {one["metadata"]["name"] for one in documents}
    assert [mistake for one in documents for mistake in mistakes(one)] == []
    assert {one["metadata"].get("namespace") for one in documents if one["kind"] != "Namespace"} == {"trunkline"}


def test_every_pool_that_ships_has_a_deployment_that_is_scaled_and_may_be_drained() -> None:
    assert POOLS.keys() == shipped_pools().keys()
    budgets = {one["metadata"]["name"] for one in BASE if one["kind"] == "PodDisruptionBudget"}
    assert DEPLOYMENTS.keys() == budgets
    assert DEPLOYMENTS.keys() - SCALED.keys() == {"telemetry"}
    for name, scaled in SCALED.items():
        assert scaled["spec"]["scaleTargetRef"]["name"] == name
        assert scaled["spec"]["minReplicaCount"] >= 1  # a pool without a process offers no tools
        assert "replicas" not in DEPLOYMENTS[name]["spec"]  # which an apply would set back


@pytest.mark.parametrize("pool", sorted(POOLS))
def test_a_pod_that_goes_has_time_for_the_longest_call_of_its_pool(pool: str) -> None:
    settings = load_settings(WorkerSettings, stop_timeout=variables_of(POOLS[pool])["TRUNKLINE_STOP_TIMEOUT"])
    tools = ToolRegistry.load(pools=[pool], installed=()).for_pool(pool)
    longest = max(timedelta(milliseconds=tool.specification.timeout_ms) for tool in tools)
    grace = timedelta(seconds=pod_of(POOLS[pool])["terminationGracePeriodSeconds"])
    assert longest < settings.stop_timeout
    assert settings.stop_timeout + SUPERVISOR_MARGIN < grace


def test_an_orchestrator_that_goes_has_time_for_the_longest_model_call() -> None:
    variables = variables_of(DEPLOYMENTS["orchestrator"])
    settings = load_settings(OrchestratorSettings, stop_timeout=variables["TRUNKLINE_STOP_TIMEOUT"])
    grace = timedelta(seconds=pod_of(DEPLOYMENTS["orchestrator"])["terminationGracePeriodSeconds"])
    assert settings.model_timeout < settings.stop_timeout
    assert settings.stop_timeout + SUPERVISOR_MARGIN < grace


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_a_pod_runs_a_command_that_exists_with_settings_that_exist(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [container] = pod_of(DEPLOYMENTS[name])["containers"]
    assert run([container["args"][0], "--help"]) == 0
    capsys.readouterr()
    [shared] = [one["data"] for one in BASE if one["kind"] == "ConfigMap"]
    variables = {**shared, **variables_of(DEPLOYMENTS[name])}
    settings = SETTINGS.get(name, WorkerSettings)
    fields = settings.model_fields.items()
    known = {str(field.validation_alias or f"TRUNKLINE_{key}".upper()) for key, field in fields}
    mine = {variable for variable in variables if variable.startswith(("TRUNKLINE_", "OTEL_"))}
    assert mine <= known
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    load_settings(settings)


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_a_pod_has_no_rights_that_it_does_not_need_and_no_secret_in_its_manifest(name: str) -> None:
    pod = pod_of(DEPLOYMENTS[name])
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"livenessProbe", "startupProbe"} <= container.keys()
    by_reference = {entry["name"]: entry["valueFrom"] for entry in container["env"] if "valueFrom" in entry}
    assert by_reference == {"TRUNKLINE_REDIS_URL": {"secretKeyRef": {"name": "trunkline-redis", "key": "url"}}}
    assert not any(one["kind"] == "Secret" for one in BASE)
