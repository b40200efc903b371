"""Changing limits as they were typed: what is not given stays as it is."""

from dataclasses import replace

from messaging.command_runner import BlockingRunner
from messaging.limits import QueueLimits, Rate, TenantLimits, set_queue_limits, set_tenant_limits
from trunkline.command_line.failures import BadInput

__all__ = ["change_queue", "change_tenant"]


def change_queue(
    runner: BlockingRunner,
    queue: str,
    current: QueueLimits | None,
    rate: str | None,
    burst: int | None,
    max_in_flight: int | None,
    fair: bool | None,
) -> None:
    """Changes what is given, on top of `current`; without it all else is taken away."""
    limits = current or QueueLimits()
    if rate is not None:
        limits = replace(limits, rate=Rate.parse(rate))
    if burst is not None:
        limits = replace(limits, burst=burst)
    if max_in_flight is not None:
        limits = replace(limits, max_in_flight=max_in_flight)
    if fair is not None:
        limits = replace(limits, fair=fair)
    if limits.rate is None and burst is not None:
        raise BadInput("usage", "--burst: it belongs to a rate; give --rate too")
    runner.run(set_queue_limits(queue, limits))


def change_tenant(
    runner: BlockingRunner,
    queue: str,
    tenant: str,
    rate: str | None,
    burst: int | None,
    max_in_flight: int | None,
    weight: float | None,
    *,
    none: bool,
) -> None:
    """Sets a tenant's limits to what is given; `none` takes them away."""
    if none:
        runner.run(set_tenant_limits(queue, tenant, None))
        return
    limits = TenantLimits(
        rate=None if rate is None else Rate.parse(rate),
        burst=1 if burst is None else burst,
        max_in_flight=max_in_flight,
        weight=1.0 if weight is None else weight,
    )
    if limits == TenantLimits():
        raise BadInput("usage", "--tenant: say what to limit, with --rate, --max-in-flight or --weight, or --none")
    runner.run(set_tenant_limits(queue, tenant, limits))
