"""Hands jobs in to DBOS."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dbos import DBOSClient

from benchmarks.conversation import ANSWER, QUESTION
from benchmarks.load import JobFailed
from benchmarks.peers.programs.dbos_workflows import DATABASE_URL, LOOKS_EVERY_S


@contextmanager
def open_client() -> Iterator["_Client"]:
    """Connects to the database that the workflows' processes have set up."""
    client = DBOSClient(system_database_url=os.environ[DATABASE_URL], application_name="fan4")
    yield _Client(client)
    client.destroy()


class _Client:
    def __init__(self, client: DBOSClient) -> None:
        self._client = client
        self._open: set[str] = set()

    def submit(self) -> str:
        handle = self._client.enqueue(
            {"queue_name": "orchestrator", "workflow_name": "run_job", "app_version": "1"},
            [{"role": "user", "content": QUESTION}],
        )
        job_id: str = handle.workflow_id
        self._open.add(job_id)
        return job_id

    def ended(self, timeout_s: float) -> Sequence[str]:
        """One query asks for all that are open."""
        give_up_at = time.monotonic() + timeout_s
        while True:
            found = self._client.list_workflows(workflow_ids=list(self._open), load_input=False)
            ended = [one for one in found if one.status not in ("PENDING", "ENQUEUED")]
            if any(one.status != "SUCCESS" or one.output != ANSWER for one in ended):
                raise JobFailed(f"a job did not succeed: {ended}")
            self._open.difference_update(one.workflow_id for one in ended)
            if ended or time.monotonic() > give_up_at:
                return [one.workflow_id for one in ended]
            time.sleep(LOOKS_EVERY_S)
