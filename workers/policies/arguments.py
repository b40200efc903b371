"""Arguments that do not fit go back to the model, with the path of each wrong field."""

import json

from workers.attempt import Attempt, Ended, Proceed, answered
from workers.errors import ArgumentsRejected


async def check_arguments(attempt: Attempt, proceed: Proceed) -> Ended:
    """Turns the model's JSON text into the function's arguments, or answers `rejected`."""
    try:
        attempt.arguments = attempt.tool.validate_arguments(json.loads(attempt.claim.arguments))
    except ArgumentsRejected as error:
        return answered("rejected", str(error))
    except (ValueError, RecursionError) as error:
        return answered("rejected", f"The arguments are no JSON object: {error}")
    return await proceed(attempt)
