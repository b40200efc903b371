"""What others feel of a limit: an unlimited queue in the same process, and tenants beside one with a large backlog."""

import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from dramatiq import Message

from benchmarks.contenders.message_contender import Kind, MessageContender
from benchmarks.figures import Figure, Figures, median_figure, percentile
from benchmarks.happenings import What
from benchmarks.limit_accuracy import jain_index
from messaging import queue_commands
from messaging.command_runner import BlockingRunner
from messaging.limits import QueueLimits, Rate, pause_queue, set_queue_limits

RATE: Final = 50
BURST: Final = 5
LIMITED_WORK_S: Final = 0.005
PORTIONS: Final = 3
PORTION_S: Final = 3.0
UNLIMITED_PER_S: Final = 50.0
LIGHT_TENANTS: Final = 9
HEAVY_MESSAGES: Final = 10_000
LIGHT_MESSAGES: Final = 100
_ENQUEUED_AT_ONCE: Final = 500
_PATIENCE_S: Final = 30.0
_ENDLESS: Final = 20_000
_SETTLE_S: Final = 1.0


def unlimited_beside_limited(folder: Path) -> Figures:
    """The p95 of an unlimited queue, without and with a backlog on a limited one that the same process serves."""
    figures: dict[str, Figure] = {}
    kinds: list[tuple[Kind, str]] = [("ours", ""), ("stock", "_stock")]
    for kind, suffix in kinds:
        numbers = count()
        with MessageContender(kind, folder / f"beside-{kind}", limit_per_s=RATE) as contender:
            if kind == "ours":
                runner = BlockingRunner(contender.redis, namespace=contender.namespace)
                runner.run(set_queue_limits("limited", QueueLimits(rate=Rate(RATE), burst=BURST)))
            contender.start_workers(("worker", ["limited", "unlimited"]))
            _latencies_ms(contender, numbers)  # what first messages cost is not asked here
            without = [_latencies_ms(contender, numbers) for _ in range(PORTIONS)]
            backlog = ((-1 - number, LIMITED_WORK_S) for number in range(_ENDLESS))
            contender.fill("limited", "work" if kind == "ours" else "limited", backlog)
            time.sleep(_SETTLE_S)
            beside = [_latencies_ms(contender, numbers) for _ in range(PORTIONS)]
        p95 = {
            name: median_figure([percentile(one, 95) for one in portions], "ms", "lower")
            for name, portions in (("alone", without), ("beside", beside))
        }
        figures[f"unlimited_p95_ratio{suffix}"] = median_figure(
            [p95["beside"].value / p95["alone"].value], "ratio", "lower"
        )
        figures[f"unlimited_p95_ms_alone{suffix}"] = p95["alone"]
        figures[f"unlimited_p95_ms_beside_limited{suffix}"] = p95["beside"]
    return figures


def _latencies_ms(contender: MessageContender, numbers: Iterator[int]) -> list[float]:
    sent_us: dict[int, int] = {}
    contender.happenings.new()
    begun = time.perf_counter()
    for index in range(round(UNLIMITED_PER_S * PORTION_S)):
        time.sleep(max(0.0, begun + index / UNLIMITED_PER_S - time.perf_counter()))
        number = next(numbers)
        sent_us[number] = time.time_ns() // 1000
        contender.enqueue("unlimited", "work", number, 0)
    latencies: list[float] = []
    give_up_at = time.monotonic() + _PATIENCE_S
    while len(latencies) < len(sent_us):
        started = [one for one in contender.happenings.new() if one.what == What.START and one.number in sent_us]
        latencies += [(one.at_us - sent_us[one.number]) / 1000 for one in started]
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{len(latencies)} of {len(sent_us)} messages started\n{contender.processes.logs()}")
        time.sleep(0.01)
    return latencies


def fairness(folder: Path) -> Figures:
    """Jain's index of what tenants got while all had a backlog, one of them a hundred times that of each other."""
    figures: dict[str, Figure] = {}
    kinds: list[tuple[Kind, str]] = [("ours", ""), ("stock", "_stock")]
    backlog = [(0, HEAVY_MESSAGES), *((tenant, LIGHT_MESSAGES) for tenant in range(1, LIGHT_TENANTS + 1))]
    for kind, suffix in kinds:
        with MessageContender(kind, folder / f"fair-{kind}") as contender:
            if kind == "ours":
                runner = BlockingRunner(contender.redis, namespace=contender.namespace)
                runner.run(set_queue_limits("fair", QueueLimits(fair=True, paused=True)))
                for tenant, messages in backlog:
                    _enqueue_for(runner, tenant, messages)
                contender.start_workers(("worker", ["fair"]))
                runner.run(pause_queue("fair", paused=False))
            else:
                for tenant, messages in backlog:
                    contender.fill("fair", "work", ((tenant, 0) for _ in range(messages)))
                contender.start_workers(("worker", ["fair"]))
            served: Counter[int] = Counter()
            give_up_at = time.monotonic() + _PATIENCE_S
            while not _one_has_had_everything(served):
                for one in contender.happenings.new():
                    if one.what == What.START and not _one_has_had_everything(served):
                        served[one.number] += 1
                if time.monotonic() > give_up_at:
                    raise TimeoutError(f"tenants were served {dict(served)}\n{contender.processes.logs()}")
                time.sleep(0.01)
        shares = [served[tenant] for tenant, _ in backlog]
        figures[f"fairness_jain{suffix}"] = median_figure([jain_index(shares)], "index", "higher")
    return figures


def _one_has_had_everything(served: Counter[int]) -> bool:
    return any(served[tenant] >= LIGHT_MESSAGES for tenant in range(1, LIGHT_TENANTS + 1)) or (
        served[0] >= LIGHT_MESSAGES * (LIGHT_TENANTS + 1)
    )


def _enqueue_for(runner: BlockingRunner, tenant: int, messages: int) -> None:
    for start in range(0, messages, _ENQUEUED_AT_ONCE):
        entries = []
        for _ in range(min(_ENQUEUED_AT_ONCE, messages - start)):
            message: Message[Any] = Message(
                queue_name="fair", actor_name="work", args=(tenant, 0), kwargs={}, options={}
            )
            entries.append(("fair", str(uuid4()), message.encode(), None))
        runner.run(queue_commands.enqueue(entries, lane=f"i:tenant{tenant}"))
