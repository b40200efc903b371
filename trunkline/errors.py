"""What the client raises, by who has to act.

TrunklineError
├── JobRefused        the caller: the job does not fit, and the message names the field
└── JobUnknown        the caller: there is no such job, or it has expired

Redis that cannot be reached is `messaging.errors.RedisUnreachable`, an operator's matter.
"""


class TrunklineError(Exception):
    """The root of what the client raises."""


class JobRefused(TrunklineError):
    """The job was not accepted."""

    def __init__(self, code: str, reason: str) -> None:
        """Takes a stable code for programs (see `ledger.accepting.Refused`;

        and `invalid`) and the reason for people.
        """
        super().__init__(reason)
        self.code = code


class JobUnknown(TrunklineError):
    """There is no such job."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id}; it may have expired, or belong to another deployment")
        self.job_id = job_id
