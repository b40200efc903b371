"""`trunkline demo`: a conversation of two jobs through real processes, told as it happens, and timed.

It has a data folder and a namespace of its own. A Redis of yours is used if TRUNKLINE_REDIS_URL names one, but no
worker of yours takes a call of the demo, nor the other way round; the conversation is gone from it after an hour, and
what stays are a few small keys under `{trunkline-demo}`.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trunkline.command_line.failures import CommandFailed, ExitCode
from trunkline.command_line.output import JsonOption, Output

if TYPE_CHECKING:
    from schemas.events import JobEvent
    from schemas.job_result import JobResult
    from trunkline.command_line.connection import Workers
    from trunkline.command_line.deployment import Deployment
    from trunkline.command_line.wanted import Wanted

__all__ = ["demo"]

_CONVERSATION: Final = (
    "Find 3-bedroom houses in Austin, TX under $600k, tell me about the neighborhood, and what the monthly payment "
    "would be on a $550,000 house with 20% down at 6.5% over 30 years.",
    "Schedule a viewing of the first one tomorrow at 3pm for Ana Diaz, ana@example.com",
)
_POOLS: Final = ("property", "finance", "notify")
_NAMESPACE: Final = "trunkline-demo"
#: On a Redis of yours, what the demo wrote is gone after this time.
_RETENTION: Final = timedelta(hours=1)


class DemoFailed(CommandFailed):
    """The demo did not show what it is there to show."""

    exit_code = ExitCode.JOB_NOT_COMPLETED


@dataclass(frozen=True, slots=True)
class _Told:
    """A job that has been told."""

    result: "JobResult"
    events: "list[JobEvent]"


def demo(as_json: JsonOption = False) -> None:
    """Watch a conversation go through real processes, hop by hop, and see where the time went.

    Starts a Redis (unless TRUNKLINE_REDIS_URL is set), a stand-in for the model (unless OPENAI_API_KEY or
    OPENAI_BASE_URL is set), an orchestrator and three pools, and stops all of them at the end.
    """
    from trunkline.command_line.connection import Workers
    from trunkline.command_line.deployment import Deployment, stopping_signals
    from trunkline.command_line.overview import overview_json

    output = Output(as_json=as_json)
    with (
        _folder() as folder,
        stopping_signals(),
        Deployment(_wanted(folder), output) as deployment,
        Workers(deployment.settings) as workers,
    ):
        _introduce(deployment, output)
        told = _converse(deployment, workers, output)
        verdict = _verdict(told, workers)
        if as_json:
            jobs = [_as_json(one, workers) for one in told]
            output.document({**overview_json(deployment), "jobs": jobs, "verdict": verdict})
    output.print(verdict, "Everything that was started has been stopped.")


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="trunkline-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wanted(folder: Path) -> "Wanted":
    from ledger.settings import LedgerSettings
    from messaging.logging import configure_logging
    from messaging.processes.pool_size import Bounds
    from messaging.settings import load_settings
    from trunkline.command_line.wanted import deployment_wanted

    own: dict[str, Any] = {"namespace": _NAMESPACE, "data_dir": folder, "runtime_dir": folder}
    settings = load_settings(LedgerSettings, **own, job_retention=_RETENTION, conversation_retention=_RETENTION)
    level = settings.log_level if "log_level" in settings.model_fields_set else "error"
    configure_logging(level, settings.log_format, process_role="demo", hidden_fields=settings.redact_fields)
    environment = {
        "TRUNKLINE_NAMESPACE": _NAMESPACE,
        "TRUNKLINE_LOG_LEVEL": level,
        "TRUNKLINE_TOOLS": "",
        # An outbox of yours would be sent, and a database of yours may have no house in Austin.
        "TRUNKLINE_NOTIFY_DATABASE_URL": f"sqlite://{folder / 'outbox.sqlite3'}",
        "TRUNKLINE_PROPERTY_DATABASE_URL": f"sqlite://{folder / 'properties.sqlite3'}",
    }
    pools = dict.fromkeys(_POOLS, Bounds(1, 1))
    return deployment_wanted(settings, pools=pools, tools=(), environment=environment)


def _introduce(deployment: "Deployment", output: Output) -> None:
    from trunkline.command_line.overview import STAND_IN_NOTE, overview_table

    output.print("Started for this demo:", "", overview_table(deployment, output), "")
    if deployment.model is not None:
        output.print(STAND_IN_NOTE, "")


def _converse(deployment: "Deployment", workers: "Workers", output: Output) -> list[_Told]:
    from rich.text import Text

    from schemas.caller import Caller
    from trunkline.client import Client
    from trunkline.command_line.following import follow, hops_table

    told: list[_Told] = []
    conversation = None
    # While programs read, the jobs are not told but put into one document at the end.
    quiet = Output(as_json=False, quiet=output.as_json)
    with Client(settings=deployment.settings) as client:
        for text in _CONVERSATION:
            quiet.print(Text.assemble(("› ", "bold cyan"), (text, "bold")), "")
            caller = Caller(permissions=frozenset({"*"}))
            accepted = client.submit(text, conversation_id=conversation, caller=caller, agent="demo")
            conversation = accepted.conversation_id
            result, events = follow(client, accepted.job_id, process=workers, output=quiet)
            quiet.print("", hops_table(events, process=workers, output=quiet), "")
            told.append(_Told(result, events))
            if result.state != "completed":
                break
    return told


def _verdict(told: Sequence[_Told], workers: "Workers") -> str:
    """What the demo has shown.

    Raises:
        DemoFailed: It has not shown it.
    """
    from trunkline.command_line.following import require_completed
    from trunkline.command_line.hops import workers_of_turns

    for one in told:
        require_completed(one.result)
    for one in told:
        for turn, ids in workers_of_turns(one.events).items():
            processes = sorted({process for id in ids if (process := workers(id))}, key=lambda process: process.queues)
            if len({process.pid for process in processes}) > 1:
                where = " and ".join(f"{', '.join(process.queues)} ({process})" for process in processes)
                return f"The {len(ids)} calls of turn {turn} ran in {len(processes)} processes: {where}."
    raise DemoFailed("demo", "no turn had calls that ran in different processes: the model asked for none")


def _as_json(told: _Told, workers: "Workers") -> dict[str, Any]:
    from trunkline.command_line.hops import hops_of, total_us

    hops = []
    for hop in hops_of(told.events):
        process = workers(hop.worker) if hop.worker else None
        hops.append({**asdict(hop), "pid": process.pid if process else None})
    return {"job": told.result.model_dump(mode="json"), "hops": hops, "total_us": total_us(told.events)}
