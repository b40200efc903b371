"""Finding what no message will wake any more. In a correct system there is nothing."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from messaging.command import Command
from messaging.script import load_script

#: How many jobs one script looks at, so that it blocks nobody for long.
JOBS_AT_ONCE = 100
#: How long past its deadline a job may be before the sweeper ends it; its own expiry message comes first.
OVERDUE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one round over some jobs found."""

    looked_at: int
    repaired: int


def sweep(offset: int) -> Command[Swept]:
    """Looks at the jobs that have not ended, from `offset` on."""

    def decode(answer: list[Any]) -> Swept:
        return Swept(*answer)

    words = (offset, JOBS_AT_ONCE, round(OVERDUE / timedelta(milliseconds=1)))
    return Command(load_script("ledger", "sweep"), words, decode)
