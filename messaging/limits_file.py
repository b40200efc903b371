"""The limits that queues begin with, from a TOML file.

    [queues.property]
    rate = "50/s"
    burst = 10
    max_in_flight = 20
    fair = true

    [queues.property.tenants.acme]    # or "*" for every tenant without its own
    rate = "5/s"
    weight = 2

They are taken over by the first process that starts; what has been set since then by command is not touched.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, TypeVar

from messaging.command import Command
from messaging.errors import InvalidLimit
from messaging.limits import QueueLimits, Rate, TenantLimits, set_queue_limits, set_tenant_limits

L = TypeVar("L", QueueLimits, TenantLimits)

_FITTING: Final[dict[str, type | tuple[type, ...]]] = {
    "burst": int,
    "max_in_flight": int,
    "weight": (int, float),
    "fair": bool,
    "paused": bool,
}


def read_limits_file(path: Path) -> Sequence[Command[int]]:
    """The commands that set what the file says, where nothing has been set before.

    Raises:
        InvalidLimit: The file cannot be read, or says what cannot be meant; the message names the place.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidLimit(f"the limits file {path} cannot be read: {error}; see TRUNKLINE_LIMITS_FILE") from None
    commands: list[Command[int]] = []
    for queue, wanted in _table(content, "queues", path).items():
        where = f"{path}, queues.{queue}"
        own = dict(_table({"": wanted}, "", where))
        tenants = _table(own, "tenants", where)
        own.pop("tenants", None)
        commands.append(set_queue_limits(queue, _limits(QueueLimits, own, where), only_first=True))
        for tenant, its in tenants.items():
            place = f"{where}.tenants.{tenant}"
            limits = _limits(TenantLimits, _table({"": its}, "", place), place)
            commands.append(set_tenant_limits(queue, tenant, limits, only_first=True))
    return commands


def _table(content: Mapping[str, Any], name: str, where: object) -> Mapping[str, Any]:
    value = content.get(name, {})
    if not isinstance(value, Mapping):
        raise InvalidLimit(f"{where}: {name or 'it'} is not a table of names and values")
    return value


def _limits(kind: type[L], given: Mapping[str, Any], where: str) -> L:
    known = {field.name for field in fields(kind)}
    if unknown := sorted(given.keys() - known):
        raise InvalidLimit(f"{where}: there is no limit {unknown[0]!r}; these can be set: {', '.join(sorted(known))}")
    values = dict(given)
    if "rate" in values:
        values["rate"] = Rate.parse(str(values["rate"]))
    for name, fitting in _FITTING.items():
        fits = isinstance(values.get(name), fitting) and isinstance(values.get(name), bool) == (fitting is bool)
        if name in values and not fits:
            raise InvalidLimit(f"{where}.{name}: {values[name]!r} does not fit")
    return kind(**values)
