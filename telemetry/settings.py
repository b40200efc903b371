"""The settings of a telemetry process."""

from messaging.settings import DeploymentSettings


class TelemetrySettings(DeploymentSettings):
    """Read once at the entry of a telemetry process and passed down."""
