"""Who handed a job in, and what they may do."""

from typing import Annotated

from pydantic import StringConstraints

from schemas.wire import WireModel

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Caller(WireModel):
    """Whoever handed the job in. Permissions are checked where a tool runs, against this record in the ledger."""

    tenant: Name = "default"
    """Whose work this is: the scope of idempotency keys, conversations and fair shares."""
    user: Name | None = None
    """The person, in the upstream's words; None for a system."""
    roles: frozenset[Name] = frozenset()
    permissions: frozenset[Name] = frozenset()
    """What the caller may do, as `area:action`; `*` and `area:*` are wildcards."""

    def may(self, permission: str) -> bool:
        """Whether the caller holds `permission`, by name or by a wildcard."""
        area = permission.split(":", 1)[0]
        return not self.permissions.isdisjoint({permission, f"{area}:*", "*"})
