"""The Kubernetes manifests, as they stand in their files."""

from itertools import chain
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.deployment_files import DEPLOY

KUBERNETES: Final = DEPLOY / "kubernetes"
Manifest = dict[str, Any]


def manifests(folder: Path) -> list[Manifest]:
    """What the kustomization of a folder lists, as it stands there."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    files = [folder / name for name in listed if name.endswith(".yaml")]
    return list(chain.from_iterable(yaml.safe_load_all(file.read_text()) for file in files))


BASE: Final = manifests(KUBERNETES / "base")
DEPLOYMENTS: Final = {one["metadata"]["name"]: one for one in BASE if one["kind"] == "Deployment"}
SCALED: Final = {one["metadata"]["name"]: one for one in BASE if one["kind"] == "ScaledObject"}
POOLS: Final = {name.removeprefix("pool-"): one for name, one in DEPLOYMENTS.items() if name.startswith("pool-")}


def pod_of(deployment: Manifest) -> Manifest:
    pod: Manifest = deployment["spec"]["template"]["spec"]
    return pod


def variables_of(deployment: Manifest) -> dict[str, str]:
    [container] = pod_of(deployment)["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
