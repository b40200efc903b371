"""The verdict of the chaos sees what it is there to see."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from tests.chaos.upstream import Count
from tests.chaos.verdict import Verdict, judge
from tests.scenarios.deployment import Note
from tests.snapshot import Snapshot


def _judged(count: Count, notes: Sequence[Note] = ()) -> Verdict:
    return judge(
        count=count,
        notes=notes,
        snapshot=Snapshot("{empty}", {}),
        hits=(),
        absences_us=(),
        broken_model_calls=0,
        connections_cut=0,
        answers_lost=0,
        took=timedelta(0),
    )


def _note(what: str, *, key: str = "job/1/0", attempt: int = 1) -> Note:
    return Note(call="job/1/0", what=what, attempt=attempt, key=key, pid=1, at=0.0)


def test_an_accepted_order_that_the_ledger_does_not_have_is_lost() -> None:
    verdict = _judged(Count(attempted={7}, accepted={7: {"job"}}))
    assert (verdict.lost, verdict.problems) == (1, ("order 7 was accepted, and the ledger does not have it",))


def test_an_order_that_was_not_accepted_is_not_lost_but_told() -> None:
    verdict = _judged(Count(attempted={7}))
    assert (verdict.lost, verdict.problems) == (0, ("order 7 got no answer",))


def test_an_order_that_became_two_jobs_or_was_answered_twice_is_a_duplicate() -> None:
    answered = Count(
        attempted={7}, accepted={7: {"one", "two"}}, answers=Counter({7: 2}), answered={7: ("one", "failed")}
    )
    assert _judged(answered).duplicated_outcomes == 2


def test_an_unsafe_deed_that_was_done_twice_is_a_silent_double_effect() -> None:
    notes = [_note("begin 7/1/0"), _note("paid 7/1/0"), _note("begin 7/1/0", attempt=2), _note("paid 7/1/0", attempt=2)]
    assert _judged(Count(), notes[:3]).silent_double_effects == 0
    assert _judged(Count(), notes).silent_double_effects == 1


def test_a_deed_that_may_be_repeated_may_not_be_done_under_another_key() -> None:
    repeated = [_note("done 7/1/0"), _note("done 7/1/0", attempt=2)]
    assert _judged(Count(), repeated).silent_double_effects == 0
    assert _judged(Count(), [*repeated, _note("done 7/1/0", key="another")]).silent_double_effects == 1
