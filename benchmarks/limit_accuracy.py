"""How well starts keep a limit: pure functions of the times at which they happened."""

from collections.abc import Sequence
from itertools import pairwise


def worst_excess(times_us: Sequence[int], *, rate: float, burst: int) -> float:
    """How many starts more than `rate * W + burst` the worst window of any length W has; negative if none has more.

    A window counts with both its ends, so the worst one begins and ends at a start. With starts in order, those from
    i to j are `j - i + 1`; so what is sought is the largest difference of `j + 1 - rate * t(j)` and `i - rate * t(i)`.
    """
    ordered = sorted(times_us)
    worst = least_before = float("inf")
    worst = -worst
    for index, at_us in enumerate(ordered):
        allowed = rate * (at_us - ordered[0]) / 1e6
        least_before = min(least_before, index - allowed)
        worst = max(worst, index + 1 - allowed - least_before - burst)
    return worst


def rate_used(times_us: Sequence[int], *, rate: float, burst: int) -> float:
    """The share of the rate that was used under a backlog, from the first start, with its burst, to the last."""
    span_s = (max(times_us) - min(times_us)) / 1e6
    return (len(times_us) - burst) / (rate * span_s)


def spacing_errors_ms(times_us: Sequence[int], *, rate: float) -> list[float]:
    """How far each start is from its place after the one before."""
    return [abs(after - before - 1e6 / rate) / 1000 for before, after in pairwise(sorted(times_us))]


def jain_index(shares: Sequence[float]) -> float:
    """How equal shares are: 1 if all are, `1/n` if one of n has everything (Jain, Chiu, Hawe 1984)."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
