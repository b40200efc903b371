"""`trunkline up`: everything on one machine, until it is stopped."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trunkline.command_line.failures import BadInput
from trunkline.command_line.output import JsonOption, Output

if TYPE_CHECKING:
    from trunkline.command_line.deployment import Deployment

__all__ = ["up"]

_LOOK_INTERVAL_S: Final = 0.05


def up(
    pool: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[=N]", help="Run this pool, in N processes; without it, one process of every pool."),
    ] = None,
    orchestrators: Annotated[int, typer.Option(min=1, max=256, help="How many orchestrator processes.")] = 1,
    tools: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE", help="A module with tools of your own: pkg.tools or ./my_tools.py."),
    ] = None,
    offline_model: Annotated[
        bool | None,
        typer.Option(
            "--offline-model/--no-offline-model",
            help="Use a stand-in instead of a model; by default if neither OPENAI_API_KEY nor OPENAI_BASE_URL is set.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run Redis, an orchestrator and all pools on this machine until Ctrl-C.

    Redis is not started if TRUNKLINE_REDIS_URL is set.
    """
    pools = _numbers(pool) if pool else None
    from ledger.settings import LedgerSettings
    from messaging.logging import configure_logging
    from messaging.settings import load_settings
    from trunkline.command_line.deployment import Deployment, stopping_signals
    from trunkline.command_line.wanted import deployment_wanted

    output = Output(as_json=as_json)
    settings = load_settings(LedgerSettings)
    configure_logging(settings.log_level, settings.log_format, process_role="up", hidden_fields=settings.redact_fields)
    wanted = deployment_wanted(
        settings,
        pools=pools,
        orchestrators=orchestrators,
        tools=tools or None,
        stand_in_model=offline_model,
    )
    with stopping_signals():
        try:
            with Deployment(wanted, output) as deployment:
                _tell(deployment, output)
                try:
                    while True:
                        deployment.look()
                        time.sleep(_LOOK_INTERVAL_S)
                except KeyboardInterrupt:
                    output.note("Stopping; what is in flight may finish. Interrupt again to end it at once.")
        except KeyboardInterrupt:  # while it started
            output.note("Stopped.")


def _numbers(pools: Sequence[str]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for text in pools:
        name, separator, number = text.partition("=")
        if not name or (separator and not (number.isdecimal() and 1 <= int(number) <= 256)):
            raise BadInput("usage", f"--pool: use NAME or NAME=N with N from 1 to 256, got {text!r}")
        numbers[name] = int(number or 1)
    return numbers


def _tell(deployment: "Deployment", output: Output) -> None:
    from rich.text import Text

    from trunkline.command_line.overview import STAND_IN_NOTE, overview_json, overview_table

    if output.as_json:
        output.document(overview_json(deployment))
        return
    output.print(Text("Trunkline is up.", "bold"), "", overview_table(deployment, output), "")
    if deployment.model is not None:
        output.print(STAND_IN_NOTE, "")
    output.print('Submit a job:  trunkline submit "Find houses in Austin, TX under $600k" --follow')
    output.print("Stop it all:   Ctrl-C", "")
