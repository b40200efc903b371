"""What runs on this machine, for whoever has just started it."""

from typing import Any, Final

from rich.table import Table
from rich.text import Text

from messaging.redis_access.url import describe
from trunkline.command_line.deployment import ORCHESTRATOR, Deployment
from trunkline.command_line.output import Output

__all__ = ["STAND_IN_NOTE", "overview_json", "overview_table"]

STAND_IN_NOTE: Final = (
    "The model is a stand-in and no language model: it picks tools by their words and fills in what it finds in the "
    "text. Set OPENAI_API_KEY, or OPENAI_BASE_URL, for a real one."
)


def overview_table(deployment: Deployment, output: Output) -> Table:
    """A line for each part, with its processes."""
    table = output.facts()
    table.add_row("Redis", Text(_redis(deployment)), f"process {deployment.redis.pid}" if deployment.redis else "")
    if deployment.model is not None:
        model = f"{deployment.model.name}, {deployment.model.base_url}"
        table.add_row("model", Text(model), f"process {deployment.model.pid}")
    else:
        table.add_row("model", Text(f"{deployment.wanted.model_name}, {deployment.wanted.model_url}"), "")
    table.add_row(ORCHESTRATOR, "takes jobs in and calls the model", _processes(deployment, ORCHESTRATOR))
    for pool in sorted(deployment.wanted.pools):
        names = ", ".join(reference.partition("@")[0] for reference in deployment.wanted.tools[pool])
        scaled = f", scaled {deployment.wanted.pools[pool]}" if deployment.wanted.scaling is not None else ""
        table.add_row(f"pool {pool}", Text(names), f"{_processes(deployment, pool)}{scaled}")
    return table


def overview_json(deployment: Deployment) -> dict[str, Any]:
    """The same for programs. It tells no password."""
    model, redis = deployment.model, deployment.redis
    return {
        "redis": {"url": _redis_url(deployment), "embedded": redis is not None, "pid": redis.pid if redis else None},
        "model": {
            "name": model.name if model else deployment.wanted.model_name,
            "base_url": model.base_url if model else deployment.wanted.model_url,
            "stand_in": model is not None,
            "pid": model.pid if model else None,
        },
        "processes": [{"pid": process.pid, "queues": list(process.queues)} for process in deployment.processes],
        "pools": {
            pool: {"fewest": bounds.fewest, "most": bounds.most} for pool, bounds in deployment.wanted.pools.items()
        },
        "tools": {pool: list(references) for pool, references in deployment.wanted.tools.items()},
    }


def _processes(deployment: Deployment, queue: str) -> str:
    pids = [str(process.pid) for process in deployment.processes if queue in process.queues]
    return f"process{'es' if len(pids) > 1 else ''} {', '.join(pids)}"


def _redis(deployment: Deployment) -> str:
    if deployment.redis is None:
        return _redis_url(deployment)
    return f"embedded, {deployment.redis.data_dir}"


def _redis_url(deployment: Deployment) -> str:
    assert deployment.settings.redis_url is not None
    return describe(deployment.settings.redis_url.get_secret_value())
