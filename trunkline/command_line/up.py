"""`trunkline up`: everything on one machine, until it is stopped."""

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trunkline.command_line.failures import BadInput
from trunkline.command_line.output import JsonOption, Output

if TYPE_CHECKING:
    from messaging.processes.pool_size import Bounds
    from trunkline.command_line.deployment import Deployment

__all__ = ["up"]

_LOOK_INTERVAL_S: Final = 0.05
_POOL: Final = re.compile(r"(?P<name>[^=]+)(=((?P<fewest>[0-9]{1,3})-)?(?P<most>[0-9]{1,3}))?")
_MOST_AT_ALL: Final = 256


def up(
    pool: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=N]",
            help="Run this pool, in N processes (with --autoscale: 1 to N, or MIN-MAX); without it, every pool.",
        ),
    ] = None,
    autoscale: Annotated[
        bool, typer.Option("--autoscale", help="Let each pool have as many processes as its queue needs.")
    ] = False,
    scale_down_after: Annotated[
        str, typer.Option(metavar="DURATION", help="How long a pool must need fewer processes before it gets fewer.")
    ] = "30s",
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
    pools = _bounds(pool, autoscale=autoscale) if pool else None
    from ledger.settings import LedgerSettings
    from messaging.logging import configure_logging
    from messaging.settings import load_settings
    from trunkline.command_line.deployment import Deployment, stopping_signals
    from trunkline.command_line.moments import read_duration
    from trunkline.command_line.wanted import deployment_wanted

    output = Output(as_json=as_json)
    settings = load_settings(LedgerSettings)
    configure_logging(settings.log_level, settings.log_format, process_role="up", hidden_fields=settings.redact_fields)
    wanted = deployment_wanted(
        settings,
        pools=pools,
        scale_down_after=read_duration(scale_down_after, option="--scale-down-after") if autoscale else None,
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


def _bounds(pools: Sequence[str], *, autoscale: bool) -> "dict[str, Bounds]":
    from messaging.processes.pool_size import DEFAULT_MOST, Bounds

    bounds: dict[str, Bounds] = {}
    for text in pools:
        match = _POOL.fullmatch(text)
        if match is None or (match["fewest"] and not autoscale):
            ways = "NAME, NAME=N or, with --autoscale, NAME=MIN-MAX"
            raise BadInput("usage", f"--pool: use {ways}, got {text!r}")
        most = int(match["most"] or (DEFAULT_MOST if autoscale else 1))
        fewest = int(match["fewest"] or (1 if autoscale else most))
        if not 1 <= fewest <= most <= _MOST_AT_ALL:
            numbers = f"numbers from 1 to {_MOST_AT_ALL}, the smaller one first"
            raise BadInput("usage", f"--pool: use {numbers}, got {text!r}")
        bounds[match["name"]] = Bounds(fewest, most)
    return bounds


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
