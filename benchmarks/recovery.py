"""How soon the work of a process killed with -9 starts again elsewhere.

Victims hold one message each and have no slot for another; a survivor has slots for all. The victims are killed one
after the other, at random moments, while the survivor is

- idle: nothing else happens in the deployment;
- busy: the survivor and another process have an endless backlog of empty messages on the same queue;
- idle, and the victims are children of our supervisor, which sees them die (and starts them again).

The time counts from the signal to the second start of the work. Percentiles are of all victims of all rounds.

Stock victims are killed at the very beginning, and their survivor has the rest of the time to find out: the broker's
own heartbeat time-out, 60 s, has passed long before the end.
"""

import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.contenders import message_actors
from benchmarks.contenders.contender import REDIS
from benchmarks.contenders.message_contender import OURS_HEARTBEAT_TIMEOUT, MessageContender
from benchmarks.contenders.message_supervisor import SLOTS_OF_CHILDREN
from benchmarks.figures import Figure, Figures, median_figure, percentile
from benchmarks.happenings import What
from benchmarks.measured_processes import Company, family

ROUNDS: Final = 3
VICTIMS: Final = 12
STOCK_VICTIMS: Final = 6
GAP_S: Final = (0.1, 0.7)
LAUNCHER_GAP_S: Final = (0.4, 0.8)
FLOOD: Final = 5_000
WORK_S: Final = 600.0
_QUEUE: Final = "work"
_PATIENCE_S: Final = 60.0
_TOP_UP_S: Final = 0.1
_NO_PREFETCH: Final = {"dramatiq_queue_prefetch": "1"}  # which concerns the `dramatiq` command only


def run(*, rounds: int) -> Figures:
    """Measures and makes the figures."""
    console = Console(stderr=True)
    company_shares: list[float] = []
    ways: Mapping[str, Callable[[Path], list[float]]] = {
        "idle": lambda folder: idle(folder, company_shares),
        "busy": busy,
        "launcher": under_launcher,
    }
    recovered_s: dict[str, list[float]] = {way: [] for way in ways}
    with (
        tempfile.TemporaryDirectory(prefix="recovery-") as folder,
        MessageContender("stock", Path(folder) / "stock") as stock,
    ):
        hold(stock, STOCK_VICTIMS)
        stock.start_workers(("survivor", [_QUEUE]), slots=STOCK_VICTIMS)
        stock_killed_at = time.time()
        for victim in range(STOCK_VICTIMS):
            stock.processes.kill(f"victim {victim}")
        for number in range(rounds):
            for way, measure in ways.items():
                took_s = measure(Path(folder) / f"{way}-{number}")
                recovered_s[way] += took_s
                console.print(f"round {number + 1}/{rounds} {way}: {[round(one, 2) for one in sorted(took_s)]}")
        stock_waited_s = time.time() - stock_killed_at
        again = {one.number for one in stock.happenings.new() if one.what == What.START}
    figures: dict[str, Figure] = {}
    for way, name in {"idle": "recovery", "busy": "recovery_busy", "launcher": "child_killed_recovery"}.items():
        for percent in (50, 99):
            figures[f"{name}_s_p{percent}"] = median_figure([percentile(recovered_s[way], percent)], "s", "lower")
    figures["heartbeat_timeout_s"] = median_figure([OURS_HEARTBEAT_TIMEOUT.total_seconds()], "s", "lower")
    figures["recovered_share_stock"] = median_figure([len(again) / STOCK_VICTIMS], "share", "higher")
    figures["waited_s_stock"] = median_figure([stock_waited_s], "s", "lower")
    figures["other_cpu_share"] = median_figure(company_shares, "of all processors", "lower")
    return figures


def hold(contender: MessageContender, victims: int) -> dict[int, int]:
    """Starts victims, and has each hold a message; answers the process that works on each."""
    workers = ((f"victim {number}", [_QUEUE]) for number in range(victims))
    contender.start_workers(*workers, slots=1, environment=_NO_PREFETCH)
    contender.fill(_QUEUE, "work", ((number, WORK_S) for number in range(victims)))
    held = contender.happenings.wait(What.START, victims, timeout_s=_PATIENCE_S)
    return {one.number: one.pid for one in held}


def idle(folder: Path, company_shares: list[float]) -> list[float]:
    """Recovery where nothing else happens."""
    with MessageContender("ours", folder) as contender:
        held_by = hold(contender, VICTIMS)
        contender.start_workers(("survivor", [_QUEUE]), slots=2 * VICTIMS)
        pids = [*contender.processes.pids("survivor"), *contender.processes.pids(REDIS)]
        with Company(others=pids) as company:
            took_s = kill_one_by_one(contender, held_by, GAP_S)
        company_shares.append(company.share)
        return took_s


def busy(folder: Path) -> list[float]:
    """Recovery while the survivors have more to do than they can."""
    with MessageContender("ours", folder) as contender:
        held_by = hold(contender, VICTIMS)
        contender.start_workers(("survivor", [_QUEUE]), ("other survivor", [_QUEUE]), slots=2 * VICTIMS)
        over = threading.Event()

        def flood() -> None:
            while not over.wait(_TOP_UP_S):
                missing = FLOOD - contender.waiting(_QUEUE)
                if missing > 0:
                    contender.fill(_QUEUE, "empty", repeat((), missing))

        flooding = threading.Thread(target=flood)
        flooding.start()
        try:
            return kill_one_by_one(contender, held_by, GAP_S)
        finally:
            over.set()
            flooding.join()


def under_launcher(folder: Path) -> list[float]:
    """Recovery where a supervisor sees the death; it also starts each victim again."""
    with MessageContender("ours", folder) as contender:
        environment = {
            **contender.environment,
            message_actors.QUEUES: _QUEUE,
            SLOTS_OF_CHILDREN: ",".join(["1"] * VICTIMS),
        }
        contender.processes.start("launcher", ["-m", "benchmarks.contenders.message_supervisor"], environment)
        contender.happenings.wait(What.UP, VICTIMS, timeout_s=_PATIENCE_S)
        contender.fill(_QUEUE, "work", ((number, WORK_S) for number in range(VICTIMS)))
        held = contender.happenings.wait(What.START, VICTIMS, timeout_s=_PATIENCE_S)
        contender.start_workers(("survivor", [_QUEUE]), slots=2 * VICTIMS)
        return kill_one_by_one(contender, {one.number: one.pid for one in held}, LAUNCHER_GAP_S)


def kill_one_by_one(contender: MessageContender, held_by: Mapping[int, int], gap_s: tuple[float, float]) -> list[float]:
    """Kills each process that holds a message, with whatever it has started; answers how long each message was away."""
    killed_us: dict[int, int] = {}
    for number, pid in held_by.items():
        time.sleep(random.uniform(*gap_s))
        killed_us[number] = time.time_ns() // 1000
        for member in family(pid):
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
    started_us = {
        one.number: one.at_us for one in contender.happenings.wait(What.START, len(held_by), timeout_s=_PATIENCE_S)
    }
    return [(started_us[number] - at_us) / 1e6 for number, at_us in killed_us.items()]
