"""After how long a peer that works by time-outs takes a delivered message for lost, and gives it to somebody else."""

from typing import Final

GIVEN_UP_AFTER_S: Final = 30
"""Celery's visibility time-out is an hour by default, the idle time-out of taskiq's streams ten minutes, the heartbeat
time-out of Dramatiq one minute. Whoever has tools that take longer than this must not set it as low."""
