"""Hands jobs in to Restate: a request to its ingress is answered when the job has ended."""

import asyncio
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final
from uuid import uuid4

import aiohttp

from benchmarks.conversation import ANSWER, QUESTION
from benchmarks.load import JobFailed

INGRESS_URL: Final = "PEER_INGRESS_URL"
_CONNECTIONS: Final = 1000
_AGAIN_AFTER_S: Final = 0.1


@contextmanager
def open_client() -> Iterator["_Client"]:
    """Runs an event loop beside the load."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    session = asyncio.run_coroutine_threadsafe(_session(), loop).result()
    try:
        yield _Client(loop, session)
    finally:
        asyncio.run_coroutine_threadsafe(session.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    return aiohttp.ClientSession(os.environ[INGRESS_URL], connector=connector, timeout=aiohttp.ClientTimeout(None))


class _Client:
    def __init__(self, loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession) -> None:
        self._loop = loop
        self._session = session
        self._answers: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def submit(self) -> str:
        job_id = uuid4().hex
        asyncio.run_coroutine_threadsafe(self._run(job_id), self._loop)
        return job_id

    async def _run(self, job_id: str) -> None:
        # With its key a request can be made again, and gets the answer of the one invocation there is.
        for _ in range(3):
            with suppress(aiohttp.ClientError):
                async with self._session.post(
                    "/Jobs/run_job", json=[{"role": "user", "content": QUESTION}], headers={"idempotency-key": job_id}
                ) as response:
                    self._answers.put((job_id, await response.json() if response.ok else await response.text()))
                    return
            await asyncio.sleep(_AGAIN_AFTER_S)
        self._answers.put((job_id, "the ingress is not reached"))

    def ended(self, timeout_s: float) -> Sequence[str]:
        try:
            answers = [self._answers.get(timeout=timeout_s)]
        except queue.Empty:
            return []
        with suppress(queue.Empty):
            while True:
                answers.append(self._answers.get_nowait())
        if any(answer != ANSWER for _, answer in answers):
            raise JobFailed(f"a job has a wrong answer: {answers}")
        return [job_id for job_id, _ in answers]
