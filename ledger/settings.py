"""The settings of a deployment that concern what the ledger takes and how long it keeps it."""

from datetime import timedelta

from pydantic import Field

from ledger.accepting import AcceptanceRules
from messaging.settings import DeploymentSettings, Duration


class LedgerSettings(DeploymentSettings):
    """Read by whatever accepts jobs: the client, the command line, the orchestrator."""

    default_timeout: Duration = timedelta(hours=1)
    """The deadline of a job that names none, from its acceptance."""
    longest_timeout: Duration = timedelta(days=1)
    largest_job_bytes: int = Field(2_000_000, ge=1_000)
    job_retention: Duration = timedelta(days=1)
    conversation_retention: Duration = timedelta(days=7)
    waiting_jobs: int = Field(100, ge=0)

    def acceptance_rules(self) -> AcceptanceRules:
        """The rules that these settings make."""
        return AcceptanceRules(
            default_timeout=self.default_timeout,
            longest_timeout=self.longest_timeout,
            largest_job_bytes=self.largest_job_bytes,
            job_retention=self.job_retention,
            conversation_retention=self.conversation_retention,
            waiting_jobs=self.waiting_jobs,
            cell=self.cell,
        )
