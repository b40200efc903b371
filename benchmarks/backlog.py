"""Two hundred thousand messages that wait: how fast they are worked off, and what one takes in Redis's memory.

Each contender has two worker processes that take turns: one serves a queue with the large backlog, the other one of
the same Redis with a small backlog. Redis's memory is read before and after the large one is filled.
"""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.contenders.message_contender import Kind, MessageContender
from benchmarks.empty_messages import throughput
from benchmarks.figures import Figure, Figures, median_figure

ROUNDS: Final = 3
BACKLOG: Final = 200_000
SMALL_BACKLOG: Final = 45_000
_KINDS: Final[Mapping[Kind, str]] = {"ours": "", "stock": "_stock"}
"""With the suffix of their figures."""
_LARGE, _SMALL = "large", "small"


@dataclass(frozen=True, slots=True)
class Measured:
    """One contender, by rounds."""

    bytes_per_message: float
    per_s_large: list[float] = field(default_factory=list)
    per_s_small: list[float] = field(default_factory=list)
    other_cpu_shares: list[float] = field(default_factory=list)


def run(*, rounds: int) -> Figures:
    """Measures and makes the figures."""
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="backlog-") as folder, ExitStack() as stack:
        contenders: dict[Kind, MessageContender] = {}
        measured: dict[Kind, Measured] = {}
        for kind in _KINDS:
            contender = stack.enter_context(MessageContender(kind, Path(folder) / kind))
            before = _used_bytes(contender)
            contender.fill(_LARGE, "empty", repeat((), BACKLOG))
            measured[kind] = Measured((_used_bytes(contender) - before) / BACKLOG)
            contender.start_workers(*((queue, [queue]) for queue in (_LARGE, _SMALL)))
            contender.processes.pause()
            contenders[kind] = contender
        for number in range(rounds):
            for kind, contender in contenders.items():
                round_of(contender, measured[kind])
                console.print(f"round {number + 1}/{rounds} {kind}: {measured[kind]}")
    return figures_of(measured)


def round_of(contender: MessageContender, measured: Measured) -> None:
    """Measures both queues of a contender, one after the other."""
    contender.fill(_LARGE, "empty", repeat((), BACKLOG - contender.waiting(_LARGE)))
    contender.fill(_SMALL, "empty", repeat((), SMALL_BACKLOG))
    for queue, per_s in ((_LARGE, measured.per_s_large), (_SMALL, measured.per_s_small)):
        contender.processes.resume(queue)
        result = throughput(contender, queue)
        per_s.append(result.messages_per_s)
        measured.other_cpu_shares.append(result.other_cpu_share)
        if queue == _SMALL:
            contender.drop_waiting(queue)
        contender.processes.pause()


def _used_bytes(contender: MessageContender) -> int:
    memory: Any = contender.redis.info("memory")
    return int(memory["used_memory"])


def figures_of(measured: Mapping[Kind, Measured]) -> Figures:
    """Medians over the rounds, and the ratios within them."""
    figures: dict[str, Figure] = {"messages": median_figure([BACKLOG], "messages", "higher")}
    for kind, suffix in _KINDS.items():
        one = measured[kind]
        pairs = zip(one.per_s_large, one.per_s_small, strict=True)
        ratios = [large / small for large, small in pairs]
        figures |= {
            f"messages_per_s{suffix}": median_figure(one.per_s_large, "messages/s", "higher"),
            f"throughput_ratio_to_empty{suffix}": median_figure(ratios, "ratio", "higher"),
            f"redis_bytes_per_message{suffix}": median_figure([one.bytes_per_message], "bytes", "lower"),
        }
    pairs = zip(measured["ours"].per_s_large, measured["stock"].per_s_large, strict=True)
    ratios = [ours / stock for ours, stock in pairs]
    figures["throughput_ratio_to_stock"] = median_figure(ratios, "ratio", "higher")
    others = [share for one in measured.values() for share in one.other_cpu_shares]
    figures["other_cpu_share"] = median_figure(others, "of all processors", "lower")
    return figures
