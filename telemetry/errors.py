"""What `telemetry` raises, by who has to act.

OperatorError (of `messaging`)   somebody has to set something; the message says what
└── InvalidPrices                the price file cannot be read or does not fit
"""

from messaging.errors import OperatorError

__all__ = ["InvalidPrices"]


class InvalidPrices(OperatorError):
    """The price file cannot be read or does not fit. The message names the place."""
