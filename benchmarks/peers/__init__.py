"""The reference job fan4 beside what a user would pick instead of us: `make bench NAME=peers`.

The order in which a figure comes about:

1. `comparison` is the benchmark; `contenders` says who takes part, and starts the processes of each;
2. `installed` puts a peer's packages into a virtual environment (or npm folder) of its own below `.bench/`;
   `requirements-*.txt` and `package.json` pin them;
3. `programs/` has what a user writes with each of them, and the client that hands jobs in;
4. `load_process` runs that client where the peer's packages are, `load_elsewhere` is our end of it;
5. `page` writes the table into docs/peers.md.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.figures import Figures

ROUNDS: Final = 3


def run(*, rounds: int) -> "Figures":
    """Measures and makes the figures."""
    # Imported late: `programs` run where our own packages are not.
    from benchmarks.peers.comparison import compare

    return compare(rounds=rounds)
