"""Upstream systems hand jobs in: stock Dramatiq processes, plain Redis commands, and clients that try again."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from tests.scenarios.deployment import Deployment
from tests.scenarios.endpoint import ask, call, say
from tests.scenarios.messages import message, push, take_replies
from tests.scenarios.waiting import all_of, wait_until
from trunkline import Client, JobRefused

pytestmark = [pytest.mark.scenario, pytest.mark.asyncio(loop_scope="session")]

REPLY_TO = {"queue": "reply.scenario", "actor": "on_answer"}


class Upstream:
    """A stock Dramatiq process that hands jobs in and consumes their answers, on threads of this one."""

    def __init__(self, calm: Deployment) -> None:
        self.broker = RedisBroker(client=redis.Redis.from_url(calm.redis_url), namespace=calm.prefix)  # type: ignore[no-untyped-call]
        self.answers: list[dict[str, Any]] = []
        self.refusals: list[dict[str, Any]] = []
        self._lock = threading.Lock()

        def on_answer(result: dict[str, Any] | None = None, refused: dict[str, Any] | None = None) -> None:
            with self._lock:
                if result is not None:
                    self.answers.append(result)
                if refused is not None:
                    self.refusals.append(refused)

        dramatiq.actor(actor_name="on_answer", queue_name="reply.scenario", broker=self.broker)(on_answer)
        self._worker = dramatiq.Worker(self.broker, queues={"reply.scenario"}, worker_timeout=50, worker_threads=2)
        self._worker.start()
        calm.replies_are_read = True

    def send(self, job: dict[str, Any]) -> Any:
        """Sends an `accept_job` message as any producer does that does not have the actor."""
        sent: Any = dramatiq.Message(
            queue_name="intake", actor_name="accept_job", args=(), kwargs={"job": job}, options={}
        )
        return self.broker.enqueue(sent)

    def stop(self) -> None:
        self._worker.stop()
        self.broker.client.close()


@pytest.fixture
def upstream(calm: Deployment) -> Iterator[Upstream]:
    upstream = Upstream(calm)
    yield upstream
    upstream.stop()


def _job(model: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "go"}], "model": model, "reply_to": REPLY_TO, **fields}


async def test_a_stock_dramatiq_process_hands_jobs_in_and_gets_each_answer_once(
    calm: Deployment, upstream: Upstream
) -> None:
    model = calm.endpoint.script(ask(call("look", text="x"), call("pay", amount=2)), lambda r: say(" ".join(r.results)))
    first = upstream.send(_job(model, metadata={"order": "17"}))
    upstream.broker.enqueue(first)  # a producer that is not sure sends it again
    second = upstream.send(_job(model, metadata={"order": "18"}))
    assert first.message_id != second.message_id
    await wait_until(lambda: len(upstream.answers) == 2, "the answers")
    await calm.keeps_its_promises()
    assert {answer["metadata"]["order"] for answer in upstream.answers} == {"17", "18"}
    for answer in upstream.answers:
        assert (answer["state"], answer["answer"]) == ("completed", 'seen x {"paid":2}')
    assert len(upstream.answers) == len(await calm.client.list()) == 2
    assert len(calm.notes(what="done")) >= 4


async def test_a_stock_dramatiq_process_is_told_why_its_job_is_refused(calm: Deployment, upstream: Upstream) -> None:
    sent = upstream.send(_job("any", limits={"turns": 0}))
    await wait_until(lambda: len(upstream.refusals) == 1, "the refusal")
    [refusal] = upstream.refusals
    assert refusal["error"]["code"] == "invalid"
    assert "limits.turns" in refusal["error"]["message"]
    assert refusal["message_id"] == sent.message_id


async def test_a_delayed_message_of_a_stock_process_is_taken_over(calm: Deployment, upstream: Upstream) -> None:
    sent: Any = dramatiq.Message(
        queue_name="intake",
        actor_name="accept_job",
        args=(),
        kwargs={"job": _job(calm.endpoint.script(say("later")))},
        options={},
    )
    started = time.monotonic()
    upstream.broker.enqueue(sent, delay=700)
    await wait_until(lambda: len(upstream.answers) == 1, "the answer")
    assert time.monotonic() - started >= 0.7


async def test_plain_redis_commands_are_enough(calm: Deployment) -> None:
    model = calm.endpoint.script(ask(call("look", text="x")), say("done"))
    push(calm, "intake", message("intake", "accept_job", {"job": _job(model)}))
    push(calm, "intake", message("intake", "accept_job", _job(model, agent="spread out")))
    replies: list[dict[str, Any]] = []

    def answered() -> bool:
        replies.extend(take_replies(calm, "reply.scenario"))
        return len(replies) == 2

    await wait_until(answered, "the answers")
    assert [reply["kwargs"]["result"]["answer"] for reply in replies] == ["done", "done"]
    assert {reply["actor_name"] for reply in replies} == {"on_answer"}


async def test_a_job_that_comes_again_under_its_key_is_the_same_job(calm: Deployment) -> None:
    model = calm.endpoint.script(ask(call("pay", amount=1)), say("paid"))
    fields: dict[str, Any] = {"model": model, "idempotency_key": "order 17"}
    handed_in = await all_of(calm.submit(**fields) for _ in range(10))
    [job_id] = {one.job_id for one in handed_in}
    assert sorted(one.was_known for one in handed_in) == [False] + [True] * 9
    await calm.result(job_id)
    assert (await calm.submit(**fields)).job_id == job_id
    assert len(calm.notes(handed_in[0])) == 1
    with pytest.raises(JobRefused, match=job_id) as refusal:
        await calm.submit("something else", **fields)
    assert refusal.value.code == "idempotency_conflict"
    other = await calm.submit(**fields, caller={"tenant": "another"})
    assert other.job_id != job_id
    await calm.result(other)


async def test_a_key_holds_for_clients_and_messages_alike(calm: Deployment) -> None:
    model = calm.endpoint.script(say("done"))
    fields: dict[str, Any] = {"model": model, "reply_to": REPLY_TO, "idempotency_key": "order 18"}
    job = await calm.submit("go", **fields)
    push(calm, "intake", message("intake", "accept_job", {"job": _job(model, idempotency_key="order 18")}))
    await calm.result(job)
    await calm.keeps_its_promises()
    assert len(await calm.client.list()) == 1
    assert len(take_replies(calm, "reply.scenario")) == 1


async def test_a_submit_whose_answer_gets_lost_is_one_job(calm: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    model = calm.endpoint.script(say("done"))
    with Client(settings=calm.settings) as client:
        send = redis.Redis.execute_command
        lost: list[object] = []

        def lose_the_first_answer(self: redis.Redis, *words: Any, **options: Any) -> Any:
            answer = send(self, *words, **options)  # type: ignore[no-untyped-call]
            if words[0] == "EVALSHA" and not lost:
                lost.append(answer)
                raise redis.ConnectionError("the answer got lost")
            return answer

        monkeypatch.setattr(redis.Redis, "execute_command", lose_the_first_answer)
        job = client.submit("go", model=model)
    assert lost
    assert job.was_known
    await calm.result(job)
    assert len(await calm.client.list()) == 1
