"""What the load of the peers' comparison says of jobs that end, end twice, or never."""

from collections.abc import Iterator, Sequence

from benchmarks.peers.load_process import Load


class _ScriptedClient:
    """Jobs are called 1, 2, 3 …; they end as the script says."""

    def __init__(self, *ends: Sequence[str]) -> None:
        self._ends: Iterator[Sequence[str]] = iter(ends)
        self._submitted = 0

    def submit(self) -> str:
        self._submitted += 1
        return str(self._submitted)

    def ended(self, timeout_s: float) -> Sequence[str]:
        return next(self._ends, ())


def test_a_burst_is_answered_when_enough_of_its_jobs_have_ended() -> None:
    load = Load(_ScriptedClient(["1"], ["2", "3"], ["4"]))
    assert load.burst(jobs=4, until_ended=2, patience_s=10) == {"ended": 3}


def test_jobs_that_do_not_end_are_missing_in_their_own_burst() -> None:
    load = Load(_ScriptedClient(["1"], ["3"], ["4"]))
    load.burst(jobs=2, until_ended=1, patience_s=10)
    load.burst(jobs=2, until_ended=2, patience_s=10)
    answer = load.collect(patience_s=0.01)
    assert answer["missing"] == [1, 0]
    assert answer["last_end_at"][0] < answer["last_end_at"][1]


def test_an_end_that_is_announced_again_is_counted() -> None:
    load = Load(_ScriptedClient(["1"], ["1"], ["2"]))
    load.burst(jobs=2, until_ended=1, patience_s=10)
    assert load.collect(patience_s=10)["ended_twice"] == 1


def test_what_was_forgotten_is_not_waited_for() -> None:
    load = Load(_ScriptedClient(["1"]))
    load.burst(jobs=2, until_ended=1, patience_s=10)
    load.forget()
    assert load.collect(patience_s=10) == {"missing": [], "last_end_at": [], "ended_twice": 0}
