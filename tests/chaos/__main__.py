"""`make chaos [JOBS=… MINUTES=… SEED=…]`: the long form, which writes `benchmarks/results/chaos.json`."""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from rich.console import Console

from benchmarks.figures import Figure, Figures, percentile, table, write_results
from tests.chaos.driver import Plan, run_chaos
from tests.chaos.verdict import Verdict

#: Of the nightly form.
_JOBS: Final = 18_000
_MINUTES: Final = 10.0
_FAULTS_PER_MINUTE: Final = 55
_HEARTBEAT_TIMEOUT: Final = timedelta(seconds=5)


def main() -> None:
    """Parses the command line and runs."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=_JOBS)
    parser.add_argument("--minutes", type=float, default=_MINUTES)
    parser.add_argument("--seed", type=int, default=None, help="one is drawn, and printed, if none is given")
    arguments = parser.parse_args()
    if sys.platform != "linux":
        sys.exit("the chaos finds the processes of supervisors as Linux tells them, and runs there only")
    if arguments.jobs < 1 or arguments.minutes <= 0:
        sys.exit("--jobs and --minutes: more than nothing")
    plan = Plan(
        seed=random.randrange(10**6) if arguments.seed is None else arguments.seed,
        jobs=arguments.jobs,
        lasts=timedelta(minutes=arguments.minutes),
        faults=round(arguments.minutes * _FAULTS_PER_MINUTE),
        heartbeat_timeout=_HEARTBEAT_TIMEOUT,
    )
    print(f"chaos with seed {plan.seed}: {plan.jobs} jobs and {plan.faults} faults in {plan.lasts}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
        verdict = asyncio.run(run_chaos(plan, Path(folder)))
    print(verdict.describe())
    if verdict.problems:
        sys.exit(f"promises are broken; the seed was {plan.seed}")
    results = figures(verdict, plan, took_s=time.monotonic() - began)
    file = write_results("chaos", results)
    Console().print(table("chaos", results))
    print(f"written to {file}")


def figures(verdict: Verdict, plan: Plan, *, took_s: float) -> Figures:
    """The verdict as figures of a benchmark."""

    def counted(value: int, better: Literal["higher", "lower"], unit: str) -> Figure:
        return Figure(value, unit, better)

    def seconds(name: str, values: Sequence[float], *percents: float) -> Figures:
        ways = percents if values else ()
        return {f"{name}_p{percent:g}": Figure(round(percentile(values, percent), 3), "s", "lower") for percent in ways}

    return {
        "jobs": counted(verdict.accepted, "higher", "jobs"),
        "attempted": counted(verdict.attempted, "higher", "jobs"),
        "completed": counted(verdict.completed, "higher", "jobs"),
        "failed": counted(verdict.failed, "lower", "jobs"),
        "calls": counted(verdict.calls, "higher", "calls"),
        "kills": counted(verdict.kills, "higher", "processes"),
        "faults": counted(sum(verdict.faults.values()), "higher", "faults"),
        "faults_in_flight": counted(verdict.faults_in_flight, "higher", "faults"),
        "lost": counted(verdict.lost, "lower", "jobs"),
        "duplicated_outcomes": counted(verdict.duplicated_outcomes, "lower", "outcomes"),
        "silent_double_effects": counted(verdict.silent_double_effects, "lower", "effects"),
        "denied_effects": counted(verdict.denied_effects, "lower", "effects"),
        "stuck": counted(verdict.stuck, "lower", "jobs"),
        "violations": counted(len(verdict.violations), "lower", "violations"),
        "recovered": counted(verdict.recovered, "higher", "messages"),
        **seconds("recovery_s", verdict.recovery_s, 50, 99),
        **seconds("recovery_with_redis_s", verdict.recovery_with_redis_s, 50, 99),
        **seconds("supervised_recovery_s", verdict.supervised_recovery_s, 50, 99),
        **seconds("unknown_after_s", verdict.unknown_after_s, 99),
        "heartbeat_timeout_s": Figure(plan.heartbeat_timeout.total_seconds(), "s", "lower"),
        "seed": Figure(plan.seed, "", "higher"),
        "took_s": Figure(round(took_s), "s", "lower"),
    }


if __name__ == "__main__":
    main()
