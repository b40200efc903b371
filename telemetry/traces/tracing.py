"""What a telemetry process does with entries of the feed to make traces of them: facts, sampling, spans, export."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

import structlog

from ledger.feed import FeedEntry
from ledger.reading import read_calls, read_conversation
from messaging.command_runner import AsyncCommandRunner
from telemetry.facts_reader import FactsReader
from telemetry.job_facts import JobFacts, may_report
from telemetry.otlp_http import OtlpHttpExporter
from telemetry.settings import TelemetrySettings
from telemetry.traces.content import Content
from telemetry.traces.job_spans import spans_for
from telemetry.traces.otlp_encoding import encode_span, export_request, resource

_log = structlog.get_logger(__name__)


class TraceExporter:
    """Handles entries of the feed: exports the spans that they are the occasion for.

    Args:
        runner: Carries commands.
        facts: Where the facts come from.
        settings: Of this process.
        exporter: Where the spans go.
    """

    def __init__(
        self, runner: AsyncCommandRunner, facts: FactsReader, settings: TelemetrySettings, exporter: OtlpHttpExporter
    ) -> None:
        self._runner = runner
        self._facts = facts
        self._namespace = settings.key_prefix
        self._sampling = settings.sampling()
        self._captures_content = settings.captures_content
        self._batch_size = settings.batch_size
        self._longest_value = settings.longest_value
        self._resource = resource(settings.resource())
        self._version = version("trunkline")
        self._exporter = exporter

    async def __call__(self, entries: Sequence[FeedEntry]) -> Mapping[str, int]:
        """Exports what `entries` are the occasion for; counts spans, those dropped, and jobs without any."""
        telling = [entry for entry in entries if may_report(entry)]
        facts = await self._facts.read(entry.job_id for entry in telling)
        counts = {"spans": 0, "dropped": 0, "unsampled": 0, "expired": 0, "unreadable": 0}
        spans: list[bytes] = []
        for entry in telling:
            if entry.job_id not in facts:
                counts["expired"] += entry.what == "job"
                continue
            of_job = facts[entry.job_id]
            if of_job is None:
                counts["unreadable"] += entry.what == "job"
            elif self._sampling.keeps(of_job):
                try:
                    of_entry = spans_for(of_job, entry, await self._content(of_job))
                    spans += [encode_span(span, longest_value=self._longest_value) for span in of_entry]
                # A boundary: one job that we do not understand must not hold up all others for ever.
                except Exception:  # noqa: BLE001
                    _log.exception("no spans could be made of a job", job=entry.job_id)
                    counts["unreadable"] += 1
            else:
                counts["unsampled"] += entry.what == "job"
        for batch in _batches(spans, self._batch_size):
            request = export_request(batch, of=self._resource, version=self._version)
            counts["spans" if await self._exporter.send(request) else "dropped"] += len(batch)
        return counts

    async def _content(self, facts: JobFacts) -> Content | None:
        if not self._captures_content:
            return None
        calls = await self._runner.run(read_calls(self._namespace, facts.job_id))
        conversation = await self._runner.run(read_conversation(self._namespace, facts.record.conversation_id))
        results = {(call.turn, call.index): call.outcome.content for call in calls if call.outcome}
        return Content(conversation=conversation, results=results)


def _batches(spans: Sequence[bytes], size: int) -> list[Sequence[bytes]]:
    return [spans[start : start + size] for start in range(0, len(spans), size)]
