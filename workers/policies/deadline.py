"""Work that cannot finish in the time that its job has left is answered, not started."""

from workers.attempt import Attempt, Ended, Proceed, answered


async def keep_deadline(attempt: Attempt, proceed: Proceed) -> Ended:
    """Answers `timed_out` if the job's time was over before the tool could start."""
    if attempt.remaining_s <= 0:
        return answered("timed_out", "The deadline of the job passed before the tool could start. It was not run.")
    return await proceed(attempt)
