"""The settings of an orchestrator process."""

from datetime import timedelta

from pydantic import AliasChoices, Field, SecretStr

from ledger.settings import LedgerSettings
from messaging.settings import Duration


class OrchestratorSettings(LedgerSettings):
    """Read once at the entry of an orchestrator process and passed down."""

    openai_api_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("OPENAI_API_KEY", "TRUNKLINE_OPENAI_API_KEY", "openai_api_key")
    )
    openai_base_url: str | None = Field(
        None, validation_alias=AliasChoices("OPENAI_BASE_URL", "TRUNKLINE_OPENAI_BASE_URL", "openai_base_url")
    )
    model: str = "gpt-5-mini"
    """For jobs that name no model."""
    model_timeout: Duration = timedelta(minutes=5)
    """The longest that one model call may take."""
    model_attempts: int = Field(5, ge=1, le=100)
    """How often a turn's model call is tried before its job fails."""
    turns_at_once: int = Field(500, ge=1, le=10_000)
    """How many turns one process holds in flight; each is a task that waits for the model."""
    sweep_interval: Duration = timedelta(seconds=30)
    """How often one orchestrator process looks for what was forgotten."""
    stop_timeout: Duration = timedelta(seconds=30)
    """How long work in flight may go on after a stop before it is given back."""
