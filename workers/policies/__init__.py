"""What surrounds the run of a tool, each policy in a file of its own.

A policy takes the attempt and what comes next, and either answers itself or proceeds. `in_order` is the order in which
they apply, from the outside in; the claim before them and the outcome after them are `workers.perform`'s.
"""

from collections.abc import Sequence

from messaging.command_runner import AsyncCommandRunner
from workers.attempt import Attempt, Ended, Policy, Proceed
from workers.policies.arguments import check_arguments
from workers.policies.cache import use_cache
from workers.policies.deadline import keep_deadline
from workers.policies.failure import answer_failure
from workers.policies.permission import check_permission
from workers.policies.time_limit import limit_time

__all__ = ["around", "in_order"]


def in_order(runner: AsyncCommandRunner, *, namespace: str) -> Sequence[Policy]:
    """The policies of a process, the outermost first."""
    return (
        keep_deadline,
        check_permission,
        check_arguments,
        use_cache(runner, namespace=namespace),
        answer_failure,
        limit_time,
    )


def around(run: Proceed, policies: Sequence[Policy]) -> Proceed:
    """`run` with `policies` around it, the first of them outermost."""
    for policy in reversed(policies):
        run = _apply(policy, run)
    return run


def _apply(policy: Policy, proceed: Proceed) -> Proceed:
    async def applied(attempt: Attempt) -> Ended:
        return await policy(attempt, proceed)

    return applied
