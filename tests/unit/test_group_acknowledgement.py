"""Threads acknowledge together what is done while another acknowledgement is on its way."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import redis.exceptions

from messaging.acknowledging import GroupAcknowledgement
from messaging.delivery import Delivery
from tests.redis_nodes import wait_until


class Sending:
    """Notes what is sent, and answers when it may."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may_answer = threading.Semaphore(0)
        self.error: BaseException | None = None

    def __call__(self, deliveries: Sequence[Delivery]) -> None:
        self.batches.append([delivery.id for delivery in deliveries])
        assert self.may_answer.acquire(timeout=10)
        if self.error is not None:
            raise self.error


def delivery(id: str) -> Delivery:
    return Delivery(worker="w", queue="q", id=id, token=id, body=b"", crashes=0, lost=(), fetched_us=0)


def under_way(
    group: GroupAcknowledgement, sending: Sending, threads: ThreadPoolExecutor
) -> tuple[Future[None], list[Future[None]]]:
    """One acknowledgement on its way, and three that wait for it."""
    first = threads.submit(group.acknowledge, delivery("a"))
    wait_until(lambda: sending.batches == [["a"]])
    others = []
    for number, id in enumerate("bcd", 1):
        others.append(threads.submit(group.acknowledge, delivery(id)))
        wait_until(lambda number=number: len(group._waiting) == number)  # type: ignore[misc]
    return first, others


def test_alone_a_thread_sends_at_once() -> None:
    sending = Sending()
    sending.may_answer.release(2)
    group = GroupAcknowledgement(sending, patience_s=10)
    group.acknowledge(delivery("a"))
    group.acknowledge(delivery("b"))
    assert sending.batches == [["a"], ["b"]]


def test_what_is_done_meanwhile_goes_out_together() -> None:
    sending = Sending()
    group = GroupAcknowledgement(sending, patience_s=10)
    with ThreadPoolExecutor() as threads:
        first, others = under_way(group, sending, threads)
        sending.may_answer.release()
        first.result(10)
        wait_until(lambda: len(sending.batches) == 2)
        assert not any(other.done() for other in others), "nothing is done before Redis has answered"
        sending.may_answer.release()
        for other in others:
            other.result(10)
        assert sending.batches == [["a"], ["b", "c", "d"]]
        sending.may_answer.release()
        group.acknowledge(delivery("e"))


def test_an_error_is_of_all_that_were_sent_with_it_and_of_no_others() -> None:
    sending = Sending()
    group = GroupAcknowledgement(sending, patience_s=10)
    with ThreadPoolExecutor() as threads:
        first, others = under_way(group, sending, threads)
        sending.may_answer.release()
        first.result(10)
        wait_until(lambda: len(sending.batches) == 2)
        sending.error = redis.exceptions.ConnectionError("gone")
        sending.may_answer.release()
        for other in others:
            with pytest.raises(redis.exceptions.ConnectionError):
                other.result(10)


class Interrupted(BaseException):
    """What Dramatiq raises in a thread from outside."""


def test_whoever_waits_goes_on_when_the_sender_is_interrupted() -> None:
    sending = Sending()
    group = GroupAcknowledgement(sending, patience_s=10)
    with ThreadPoolExecutor() as threads:
        first, others = under_way(group, sending, threads)
        sending.error = Interrupted()
        sending.may_answer.release()
        with pytest.raises(Interrupted):
            first.result(10)
        wait_until(lambda: len(sending.batches) == 2)
        sending.error = None
        sending.may_answer.release()
        for other in others:
            other.result(10)


def test_a_thread_does_not_wait_for_ever() -> None:
    sending = Sending()
    group = GroupAcknowledgement(sending, patience_s=0.05)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(group.acknowledge, delivery("a"))
        wait_until(lambda: bool(sending.batches))
        with pytest.raises(redis.exceptions.TimeoutError):
            group.acknowledge(delivery("b"))
        sending.may_answer.release(2)
        first.result(10)
        group.acknowledge(delivery("c"))


def test_many_threads_acknowledge_everything_once() -> None:
    sent: list[str] = []
    group = GroupAcknowledgement(lambda deliveries: sent.extend(one.id for one in deliveries), patience_s=10)
    with ThreadPoolExecutor(8) as threads:
        work: list[Callable[[], None]] = [lambda id=str(id): group.acknowledge(delivery(id)) for id in range(2000)]  # type: ignore[misc]
        for done in [threads.submit(one) for one in work]:
            done.result(10)
    assert sorted(sent, key=int) == [str(id) for id in range(2000)]
