"""Kubernetes' and KEDA's own schemas, as packages carry them, made strict: no field that they do not know."""

from functools import cache
from importlib import import_module
from typing import Any, Final

from jsonschema import Draft202012Validator

_MODULES: Final = {
    "apps/v1": "cloudcoil.models.kubernetes.apps.v1",
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
    "networking.k8s.io/v1": "cloudcoil.models.kubernetes.networking.v1",
    "policy/v1": "cloudcoil.models.kubernetes.policy.v1",
    "v1": "cloudcoil.models.kubernetes.core.v1",
}


def mistakes(manifest: dict[str, Any]) -> list[str]:
    """What is wrong with a manifest, with the path of each field."""
    name = f"{manifest['kind']} {manifest['metadata']['name']}"
    errors = _validator(manifest["apiVersion"], manifest["kind"]).iter_errors(manifest)
    return [f"{name}: {error.json_path}: {error.message}" for error in errors]


@cache
def _validator(api_version: str, kind: str) -> Draft202012Validator:
    model = getattr(import_module(_MODULES[api_version]), kind)
    schema = model.model_json_schema(by_alias=True)
    for part in (schema, *schema.get("$defs", {}).values()):
        if "properties" in part:
            part.setdefault("additionalProperties", False)
    if kind == "ScaledObject":
        # Newer than the package, and in KEDA since 2.17.
        behaviors = ["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]
        schema["$defs"]["Fallback"]["properties"]["behavior"] = {"enum": behaviors}
    return Draft202012Validator(schema)
