"""The program: its commands, and what becomes of their errors.

A command returns nothing if all is well, and raises what is not. This is the only place that knows exit codes from the
outside, and that catches everything.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Final

import typer

from messaging.redaction import redact
from trunkline.command_line import dead, demo, doctor, job, pool, processes, queue, stats, submit, tools, up
from trunkline.command_line.failures import ExitCode, Failure, explain
from trunkline.command_line.output import OutputClosed, print_failure

__all__ = ["run"]

_EPILOG: Final = """
[bold]Exit codes[/bold]

- 0 all is well, or a process that runs until it is stopped was stopped
- 1 the job failed, was cancelled or expired
- 2 what was typed or set does not fit, or the job was refused
- 3 Redis cannot be reached, or a process does not start
- 4 there is no such job or tool
- 70 a fault of Trunkline's own
- 130 interrupted by Ctrl-C

[bold]Settings[/bold]

TRUNKLINE_REDIS_URL says where Redis is; without it, `up` starts one and the others find it. \
OPENAI_API_KEY, OPENAI_BASE_URL and TRUNKLINE_MODEL say which model answers; without them a stand-in does, \
which is no language model.
"""

_app = typer.Typer(
    name="trunkline",
    help="Durable function calling on Dramatiq: every tool call is a message.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"trunkline {version('trunkline')}")
        raise typer.Exit


@_app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Only here to take options that belong to no command."""


_RUN: Final = "Run"
_USE: Final = "Use"
_LOOK_AFTER: Final = "Look after"
_app.command("demo", rich_help_panel=_RUN)(demo.demo)
_app.command("up", rich_help_panel=_RUN)(up.up)
_app.command("orchestrator", rich_help_panel=_RUN)(processes.orchestrator)
_app.command("worker", rich_help_panel=_RUN)(processes.worker)
_app.command("telemetry", rich_help_panel=_RUN)(processes.telemetry)
_app.command("submit", rich_help_panel=_USE)(submit.submit)
_app.add_typer(job.commands, name="job", rich_help_panel=_USE)
_app.add_typer(tools.commands, name="tools", rich_help_panel=_USE)
_app.command("doctor", rich_help_panel=_LOOK_AFTER)(doctor.doctor)
_app.command("stats", rich_help_panel=_LOOK_AFTER)(stats.stats)
_app.add_typer(queue.commands, name="queue", rich_help_panel=_LOOK_AFTER)
_app.add_typer(dead.commands, name="dead", rich_help_panel=_LOOK_AFTER)
_app.add_typer(pool.commands, name="pool", rich_help_panel=_LOOK_AFTER)


def run(arguments: Sequence[str]) -> int:
    """Runs one command line.

    Returns:
        Its exit code.
    """
    as_json = "--json" in arguments
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that knows no ✓ still gets the rest
    try:
        # What a command returns, or what `typer.Exit` and Ctrl-C come to.
        return int(typer.main.get_command(_app)(list(arguments), prog_name="trunkline", standalone_mode=False) or 0)
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except OutputClosed:
        # The interpreter would complain when it flushes on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OUTPUT_CLOSED
    except typer.TyperException as error:
        return _usage_error(error, as_json=as_json)
    # The boundary of the process: whatever it is, a person gets a paragraph and a program gets a code.
    except Exception as error:  # noqa: BLE001
        failure = explain(error)
        if failure is None:
            failure = Failure(
                ExitCode.OUR_FAULT,
                "internal",
                f"a fault of Trunkline's own: {type(error).__name__}: {redact(str(error))}",
            )
            if not as_json:
                print(redact(traceback.format_exc()), file=sys.stderr, end="")
        print_failure(failure, as_json=as_json)
        return failure.exit_code


def _usage_error(error: typer.TyperException, *, as_json: bool) -> int:
    message = error.format_message().replace("Value error, ", "")
    if message:  # else it has printed the help already
        context = getattr(error, "ctx", None)
        hint = f" Try `{context.command_path} --help`." if context is not None and not as_json else ""
        print_failure(Failure(ExitCode.BAD_INPUT, "usage", f"{message}{hint}"), as_json=as_json)
    return ExitCode.BAD_INPUT
