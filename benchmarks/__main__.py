"""`python -m benchmarks NAME`: runs one benchmark, prints its figures, and writes `benchmarks/results/<name>.json`."""

import argparse
import sys
from importlib import import_module
from typing import Final, Protocol, cast

from rich.console import Console

from benchmarks.figures import Figures, table, write_results

_BENCHMARKS: Final = (
    "fan4",
    "pickup",
    "empty_messages",
    "limits",
    "recovery",
    "slow_calls",
    "telemetry",
    "backlog",
    "capacity",
    "peers",
)
"""Each is a module of this package with a number `ROUNDS` and a function `run`."""


class _Benchmark(Protocol):
    ROUNDS: int
    """How often everything is measured, unless somebody says otherwise; medians are reported."""

    def run(self, *, rounds: int) -> Figures: ...


def main() -> None:
    """Parses the command line and runs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", default="", help=f"one of: {', '.join(_BENCHMARKS)}")
    parser.add_argument("--rounds", type=int, help="how often everything is measured, if not as often as usual")
    arguments = parser.parse_args()
    if arguments.name not in _BENCHMARKS:
        unknown = f"there is no benchmark {arguments.name!r}; " if arguments.name else ""
        print(f"{unknown}the benchmarks are: {', '.join(_BENCHMARKS)}", file=sys.stderr)
        sys.exit(2)
    if sys.platform != "linux":
        sys.exit("the benchmarks read the CPU time of other processes as Linux tells it, and run there only")
    if arguments.rounds is not None and arguments.rounds < 1:
        sys.exit("--rounds: at least one")
    benchmark = cast("_Benchmark", import_module(f"benchmarks.{arguments.name}"))
    figures = benchmark.run(rounds=arguments.rounds or benchmark.ROUNDS)
    file = write_results(arguments.name, figures)
    Console().print(table(arguments.name, figures))
    print(f"written to {file}")


if __name__ == "__main__":
    main()
