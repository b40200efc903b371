"""What a deployment on this machine shall consist of, read from the environment and the command line, and checked.

All that its processes will read is read here first: a child that dies at its start would be started again for ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from ledger.settings import LedgerSettings
from messaging.processes.pool_size import DEFAULT_MOST, Bounds, ScalingPolicy
from messaging.settings import load_settings
from orchestrator.settings import OrchestratorSettings
from telemetry.settings import TelemetrySettings
from workers.registry import ToolRegistry
from workers.settings import WorkerSettings

__all__ = ["Wanted", "deployment_wanted"]

_OPENAI: Final = "https://api.openai.com/v1"
#: How much longer than its slowest tool may run a scaled worker is given to finish.
_DRAIN_MARGIN: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What shall run."""

    settings: LedgerSettings
    """Without a Redis URL, an embedded one is started on its data folder."""
    pools: Mapping[str, Bounds]
    """How many processes of each pool: it begins with the fewest."""
    tools: Mapping[str, Sequence[str]]
    """The references of each pool's tools; all is ready once they are published."""
    stand_in_model: bool
    model_name: str
    model_url: str
    """The model and its base URL, unless it is the stand-in."""
    orchestrators: int = 1
    tool_modules: Sequence[str] = ()
    scaling: ScalingPolicy | None = None
    """How pools follow their load within their bounds, if they do."""
    stop_timeout: timedelta = timedelta(seconds=30)
    environment: Mapping[str, str] = field(default_factory=dict)
    """For all processes, besides that of this one."""


def deployment_wanted(
    settings: LedgerSettings,
    *,
    pools: Mapping[str, Bounds] | None = None,
    scale_down_after: timedelta | None = None,
    orchestrators: int = 1,
    tools: Sequence[str] | None = None,
    stand_in_model: bool | None = None,
    environment: Mapping[str, str] | None = None,
) -> Wanted:
    """Checks what is asked for and fills in the rest.

    Args:
        settings: Of the deployment.
        pools: How many processes of each pool; every pool that there is by default.
        scale_down_after: Pools are scaled within their bounds, and shrink after so long a calm; None keeps the fewest.
        orchestrators: How many processes.
        tools: Modules with tools; by default those of `TRUNKLINE_TOOLS`.
        stand_in_model: Whether to use it; by default if no endpoint and no key of a real one is set.
        environment: For all processes.

    Raises:
        InvalidSettings: The processes would not start with their settings.
        ToolLoadingError: A module cannot be loaded, or a pool has no tool.
        ToolDeclarationError: A tool is declared wrongly.
    """
    of_orchestrators, of_workers = load_settings(OrchestratorSettings), load_settings(WorkerSettings)
    load_settings(TelemetrySettings)
    modules = of_workers.tool_modules if tools is None else tuple(tools)
    registry = ToolRegistry.load(modules=modules, pools=pools)
    if pools is None:
        pools = dict.fromkeys(registry.pools(), Bounds(1, 1 if scale_down_after is None else DEFAULT_MOST))
    scaling, stop_timeout = None, of_workers.stop_timeout
    if scale_down_after is not None:
        scaling = ScalingPolicy(slots=of_workers.calls_at_once, down_after=scale_down_after)
        # Retiring a process must not cut a call short that would have ended by itself.
        slowest_ms = max(tool.specification.timeout_ms for pool in pools for tool in registry.for_pool(pool))
        stop_timeout = max(stop_timeout, timedelta(milliseconds=slowest_ms) + _DRAIN_MARGIN)
    if stand_in_model is None:
        stand_in_model = of_orchestrators.openai_api_key is None and of_orchestrators.openai_base_url is None
    return Wanted(
        settings=settings,
        pools=pools,
        tools={pool: [tool.reference for tool in registry.for_pool(pool)] for pool in pools},
        stand_in_model=stand_in_model,
        model_name=of_orchestrators.model,
        model_url=of_orchestrators.openai_base_url or _OPENAI,
        orchestrators=orchestrators,
        tool_modules=modules,
        scaling=scaling,
        stop_timeout=max(of_orchestrators.stop_timeout, stop_timeout),
        # The pools' own settings have another default for it, on some platforms.
        environment={
            "TRUNKLINE_DATA_DIR": str(settings.data_dir),
            "TRUNKLINE_HEALTH_PORT": "",  # which is for one process
            **(environment or {}),
        },
    )
