"""Permissions are checked where the tool runs, against the ledger's record of the caller."""

from workers.attempt import Attempt, Ended, Proceed, answered


async def check_permission(attempt: Attempt, proceed: Proceed) -> Ended:
    """Answers `denied` if the caller lacks a permission that the tool wants."""
    wanted = attempt.tool.specification.permissions
    missing = sorted(permission for permission in wanted if not attempt.claim.caller.may(permission))
    if missing:
        return answered(
            "denied",
            f"The caller may not use {attempt.tool.name}: missing permission {', '.join(missing)}. It was not run.",
        )
    return await proceed(attempt)
