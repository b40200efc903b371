"""When a failed model call is tried again."""

from datetime import timedelta

from orchestrator.model_client import ModelRefused, ModelUnavailable
from orchestrator.retry_policy import GiveUp, TryAfter, decide


def test_the_delay_doubles_up_to_a_minute() -> None:
    error = ModelUnavailable("busy")
    delays = [decide(error, attempt=attempt, max_attempts=99, spread=1.0) for attempt in (1, 2, 3, 9)]
    assert delays == [TryAfter(timedelta(seconds=seconds)) for seconds in (1, 2, 4, 60)]


def test_jitter_takes_up_to_half_of_the_delay_away() -> None:
    assert decide(ModelUnavailable("busy"), attempt=2, max_attempts=9, spread=0.0) == TryAfter(timedelta(seconds=1))


def test_what_the_endpoint_asks_for_is_the_least() -> None:
    error = ModelUnavailable("busy", retry_after_s=7)
    assert decide(error, attempt=1, max_attempts=9) == TryAfter(timedelta(seconds=7))


def test_an_endpoint_that_asks_for_too_much_is_given_up() -> None:
    decision = decide(ModelUnavailable("busy", retry_after_s=86_400), attempt=1, max_attempts=9)
    assert isinstance(decision, GiveUp)
    assert "busy" in decision.why


def test_the_last_attempt_is_not_followed_by_another() -> None:
    decision = decide(ModelUnavailable("busy"), attempt=5, max_attempts=5)
    assert decision == GiveUp("busy (tried 5 times)")


def test_what_will_not_work_later_is_not_tried_again() -> None:
    assert decide(ModelRefused("HTTP 401: wrong key"), attempt=1, max_attempts=9) == GiveUp("HTTP 401: wrong key")
