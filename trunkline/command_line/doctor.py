"""`trunkline doctor`: whether everything that a deployment needs is there and set up right."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from trunkline.command_line.failures import DeploymentFailed
from trunkline.command_line.output import JsonOption, Output

if TYPE_CHECKING:
    from messaging.settings import DeploymentSettings
    from orchestrator.settings import OrchestratorSettings

__all__ = ["doctor"]

_TIMEOUT_S: Final = 10.0


class Finding(NamedTuple):
    """One thing that was looked at."""

    subject: str
    verdict: str
    """`ok`, `warning` or `error`."""
    words: str


def doctor(as_json: JsonOption = False) -> None:
    """Check Redis, the processes, the queues, the endpoints and the settings, and say what to change."""
    output = Output(as_json=as_json)
    findings = list(_findings())
    if as_json:
        output.document([finding._asdict() for finding in findings])
    else:
        _print(findings, output)
    if any(finding.verdict == "error" for finding in findings):
        raise DeploymentFailed("unhealthy", "something needs to be changed; see above")


def _findings() -> Iterator[Finding]:
    from messaging.errors import InvalidSettings, OperatorError
    from messaging.settings import load_settings
    from orchestrator.settings import OrchestratorSettings

    try:
        settings = load_settings(OrchestratorSettings)
    except InvalidSettings as error:
        yield Finding("settings", "error", str(error))
        return
    yield Finding("settings", "ok", "every TRUNKLINE_ variable fits")
    try:
        yield from _redis(settings)
    except OperatorError as error:
        yield Finding("Redis", "error", str(error))
    yield _model(settings)
    yield _exporter()


def _redis(settings: "DeploymentSettings") -> Iterator[Finding]:
    from messaging.command_runner import BlockingRunner
    from messaging.envelopes import living_workers
    from messaging.queue_states import read_queue_states
    from messaging.redis_access.clients import connection_errors
    from messaging.redis_access.connections import blocking_client
    from messaging.redis_access.namespace_check import check_namespace
    from messaging.redis_access.server_check import check_server
    from messaging.redis_access.url import Cluster, describe, parse_redis_url
    from messaging.settings import resolve_redis_url

    url = resolve_redis_url(settings)
    with blocking_client(settings) as client, connection_errors(url):
        client.ping()
        problems = check_server(client, in_cluster=isinstance(parse_redis_url(url), Cluster))
        problems += check_namespace(client, settings.key_prefix)
        for problem in problems:
            yield Finding("Redis", problem.severity, str(problem))
        if not problems:
            yield Finding("Redis", "ok", f"{describe(url)} is set up right")
        if any(problem.severity == "error" for problem in problems):
            return  # what else it would say is not to be relied on
        runner = BlockingRunner(client, namespace=settings.key_prefix)
        living, states = runner.run(living_workers()), runner.run(read_queue_states())
    served = {queue for worker in living for queue in worker.get("queues", ())}
    if "orchestrator" not in served:
        yield Finding("processes", "warning", "no orchestrator is alive; start `trunkline orchestrator`")
    yield Finding("processes", "ok", f"{len(living)} alive, serving {', '.join(sorted(served)) or 'nothing'}")
    for state in states:
        if state.waiting and state.name not in served and not state.name.startswith("reply."):
            words = f"{state.name}: {state.waiting} messages wait and nobody serves it; start a worker for it"
            yield Finding("queues", "warning", words)
        if state.dead:
            yield Finding("queues", "warning", f"{state.name}: {state.dead} dead letters; see `trunkline dead list`")


def _model(settings: "OrchestratorSettings") -> Finding:
    import openai

    from messaging.redaction import redact

    key = settings.openai_api_key
    if key is None and settings.openai_base_url is None:
        words = "neither OPENAI_API_KEY nor OPENAI_BASE_URL is set; `up` and `demo` use a stand-in for a language model"
        return Finding("model", "warning", words)
    client = openai.OpenAI(
        api_key=key.get_secret_value() if key else "not-set",
        base_url=settings.openai_base_url,
        max_retries=0,
        timeout=_TIMEOUT_S,
    )
    try:
        models = [model.id for model in client.models.list()]
    except openai.APIStatusError as error:
        verdict = "error" if error.status_code in (401, 403) else "warning"
        return Finding("model", verdict, f"{client.base_url} answers HTTP {error.status_code}: {redact(error.message)}")
    except openai.APIError as error:
        return Finding("model", "error", f"cannot reach {client.base_url}: {redact(str(error.__cause__ or error))}")
    if models and settings.model not in models:
        words = (
            f"{client.base_url} does not list {settings.model}; set TRUNKLINE_MODEL to one it has, such as {models[0]}"
        )
        return Finding("model", "warning", words)
    return Finding("model", "ok", f"{client.base_url} has {settings.model}")


def _exporter() -> Finding:
    from messaging.errors import InvalidSettings
    from messaging.settings import load_settings
    from trunkline.command_line.otlp_check import ExporterSettings, problem_with_exporter

    try:
        settings = load_settings(ExporterSettings)
    except InvalidSettings as error:
        return Finding("traces", "error", str(error))
    if settings.address is None:
        return Finding("traces", "ok", "not exported; set OTEL_EXPORTER_OTLP_ENDPOINT to a collector to see them")
    if problem := problem_with_exporter(settings):
        return Finding("traces", "error", problem)
    return Finding("traces", "ok", f"{settings.address} takes them")


def _print(findings: list[Finding], output: Output) -> None:
    from rich.text import Text

    marks = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}
    table = output.facts()
    table.columns[0].style = ""
    table.add_column("")
    for finding in findings:
        mark, style = marks[finding.verdict]
        table.add_row(Text(mark, style), Text(finding.subject, "dim"), Text(finding.words))
    output.print(table)
