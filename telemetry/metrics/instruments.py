"""Every metric that Trunkline exports: its name, unit, labels and meaning, in one place.

Dashboards, alert rules and the table in `docs/metrics.md` are tested against this list. Names follow OpenTelemetry's
conventions for GenAI and messaging where they have one; ours begin with `trunkline.`.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from telemetry import conventions as names

__all__ = ["INSTRUMENTS", "Instrument", "exported_names", "prometheus_label", "prometheus_name"]

Kind = Literal["counter", "gauge", "histogram"]

# Labels. What spans have too has the same name there.
AGENT: Final = names.AGENT_NAME
CURRENCY: Final = "currency"
DESTINATION: Final = names.DESTINATION
ERROR_TYPE: Final = names.ERROR_TYPE
GROUP: Final = "group"
KIND: Final = "kind"
MODEL: Final = names.REQUEST_MODEL
OUTCOME: Final = names.CALL_OUTCOME
POOL: Final = names.POOL
QUANTILE: Final = "quantile"
QUEUE: Final = "trunkline.queue"
REASON: Final = "reason"
STATE: Final = names.JOB_STATE
TENANT: Final = names.TENANT
TOKEN_TYPE: Final = names.TOKEN_TYPE
TOOL: Final = names.TOOL_NAME
VERSION: Final = names.TOOL_VERSION

_PER_UNIT: Final = {"s": 1_000_000, "{currency}": 1_000_000_000}
"""Sums are kept as integers, which add up without error in any order: microseconds, billionths of money."""

_PROMETHEUS_UNITS: Final = {"s": "seconds", "1": "ratio"}
_WITHOUT_UNIT: Final = ""


@dataclass(frozen=True, slots=True, eq=False)
class Instrument:
    """One metric. There is one object for each, so they are compared as such, which is quick.

    Attributes:
        name: As OpenTelemetry knows it.
        kind: What becomes of it.
        unit: As UCUM writes it.
        labels: The attributes that each of its series has, in the order in which their values are kept.
        description: One sentence.
        is_kept_by_time: Whether it is also kept per minute and hour, for `trunkline stats` and recent percentiles.
        per_unit: How many of the integers that are kept make one unit.
    """

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    description: str
    is_kept_by_time: bool = False
    per_unit: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "per_unit", _PER_UNIT.get(self.unit, 1))


_TOOL: Final = (TOOL, VERSION, POOL)
_MESSAGES: Final = (names.MESSAGING_SYSTEM, names.MESSAGING_OPERATION_NAME, DESTINATION)
_CHAT: Final = (names.OPERATION_NAME, names.PROVIDER_NAME, MODEL)

# The conventions' own.
CLIENT_OPERATION_DURATION: Final = Instrument(
    names.CLIENT_OPERATION_DURATION,
    "histogram",
    "s",
    (*_CHAT, ERROR_TYPE),
    "How long one call of the model took.",
    is_kept_by_time=True,
)
CLIENT_TOKEN_USAGE: Final = Instrument(
    names.CLIENT_TOKEN_USAGE,
    "histogram",
    "{token}",
    (*_CHAT, TOKEN_TYPE),
    "Tokens of one call of the model.",
    is_kept_by_time=True,
)
INVOKE_AGENT_DURATION: Final = Instrument(
    names.INVOKE_AGENT_DURATION, "histogram", "s", (AGENT, ERROR_TYPE), "From a job's acceptance to its end."
)
EXECUTE_TOOL_DURATION: Final = Instrument(
    names.EXECUTE_TOOL_DURATION,
    "histogram",
    "s",
    (TOOL, ERROR_TYPE),
    "From the dispatch of a call to its outcome, waiting and retries included.",
)
PROCESS_DURATION: Final = Instrument(
    names.PROCESS_DURATION,
    "histogram",
    "s",
    (*_MESSAGES, ERROR_TYPE),
    "How long a worker processed one delivery of a message.",
)
CONSUMED_MESSAGES: Final = Instrument(
    names.CONSUMED_MESSAGES, "counter", "{message}", _MESSAGES, "Deliveries that a worker began."
)
SENT_MESSAGES: Final = Instrument(
    names.SENT_MESSAGES, "counter", "{message}", _MESSAGES, "Messages of turns and calls that were sent."
)

# Tools.
TOOL_CALLS: Final = Instrument(
    "trunkline.tool.calls",
    "counter",
    "{call}",
    (*_TOOL, OUTCOME),
    "Calls that ended, by their outcome; the kinds of errors are outcomes.",
    is_kept_by_time=True,
)
TOOL_DURATION: Final = Instrument(
    "trunkline.tool.duration",
    "histogram",
    "s",
    _TOOL,
    "How long a tool ran in a call's last attempt; calls that did not run it are left out.",
    is_kept_by_time=True,
)
TOOL_RETRIES: Final = Instrument(
    "trunkline.tool.retries",
    "counter",
    "{attempt}",
    _TOOL,
    "Attempts of calls after their first one.",
    is_kept_by_time=True,
)
TOOL_CACHE_HITS: Final = Instrument(
    "trunkline.tool.cache_hits",
    "counter",
    "{call}",
    _TOOL,
    "Calls that were answered from the cache.",
    is_kept_by_time=True,
)
TOOL_RECENT_DURATION: Final = Instrument(
    "trunkline.tool.recent.duration",
    "gauge",
    "s",
    (*_TOOL, QUANTILE),
    "Percentiles of how long a tool ran in the last five minutes, within 1.1 %.",
)
TOOL_RECENT_AVERAGE: Final = Instrument(
    "trunkline.tool.recent.average", "gauge", "s", _TOOL, "How long a tool ran on average in the last five minutes."
)
TOOL_RECENT_ERRORS: Final = Instrument(
    "trunkline.tool.recent.errors",
    "gauge",
    "1",
    _TOOL,
    "The share of a tool's calls in the last five minutes that erred.",
)

# Queues.
QUEUE_WAIT: Final = Instrument(
    "trunkline.queue.wait",
    "histogram",
    "s",
    (QUEUE,),
    "How long messages waited from when they could first be fetched until they were.",
)
QUEUE_DEPTH: Final = Instrument("trunkline.queue.depth", "gauge", "{message}", (QUEUE,), "Messages that wait.")
QUEUE_RUNNABLE: Final = Instrument(
    "trunkline.queue.runnable", "gauge", "{message}", (QUEUE,), "Waiting messages that the limits would let start now."
)
QUEUE_THROTTLED: Final = Instrument(
    "trunkline.queue.throttled", "gauge", "{message}", (QUEUE,), "Waiting messages that the limits hold back."
)
QUEUE_IN_FLIGHT: Final = Instrument(
    "trunkline.queue.in_flight", "gauge", "{message}", (QUEUE,), "Messages that workers are processing."
)
QUEUE_SCHEDULED: Final = Instrument(
    "trunkline.queue.scheduled",
    "gauge",
    "{message}",
    (QUEUE,),
    "Messages that wait for their time: retries, deadlines.",
)
QUEUE_DEAD: Final = Instrument("trunkline.queue.dead", "gauge", "{message}", (QUEUE,), "Dead letters.")
QUEUE_OLDEST_AGE: Final = Instrument(
    "trunkline.queue.oldest_age",
    "gauge",
    "s",
    (QUEUE,),
    "How long the message at the head has waited; 0 if none waits.",
)
QUEUE_RATE_USED: Final = Instrument(
    "trunkline.queue.rate_used",
    "gauge",
    "1",
    (QUEUE,),
    "The share of the rate limit that was used in the last five seconds; absent without one.",
)
QUEUE_PAUSED: Final = Instrument("trunkline.queue.paused", "gauge", _WITHOUT_UNIT, (QUEUE,), "1 while it is paused.")
QUEUE_WORKERS: Final = Instrument(
    "trunkline.queue.workers", "gauge", "{worker}", (QUEUE,), "Living worker processes that serve it."
)
LOST_DELIVERIES: Final = Instrument(
    "trunkline.queue.lost_deliveries",
    "counter",
    "{message}",
    (QUEUE,),
    "Deliveries of turns and calls that died with their worker and were begun again.",
)

# Jobs.
JOBS: Final = Instrument(
    "trunkline.jobs", "counter", "{job}", (STATE, MODEL, TENANT), "Jobs that ended, by their terminal state."
)
JOB_DURATION: Final = Instrument(
    "trunkline.job.duration", "histogram", "s", (STATE, MODEL), "From a job's acceptance to its end."
)
JOB_TURNS: Final = Instrument("trunkline.job.turns", "histogram", "{turn}", (MODEL,), "Turns of a job.")
JOB_CALLS: Final = Instrument("trunkline.job.calls", "histogram", "{call}", (MODEL,), "Tool calls of a job.")
TOKENS: Final = Instrument(
    "trunkline.tokens",
    "counter",
    "{token}",
    (MODEL, TENANT, TOKEN_TYPE),
    "Tokens that the model's endpoint counted.",
    is_kept_by_time=True,
)
COST: Final = Instrument(
    "trunkline.cost",
    "counter",
    "{currency}",
    (MODEL, TENANT, CURRENCY),
    "What these tokens cost by the price file; absent for models that it does not name.",
    is_kept_by_time=True,
)
ACTIVE_JOBS: Final = Instrument("trunkline.jobs.active", "gauge", "{job}", (), "Jobs that have not ended.")

# Telemetry itself, and what should not happen.
CORRECTIONS: Final = Instrument(
    "trunkline.corrections",
    "counter",
    _WITHOUT_UNIT,
    (KIND,),
    "What the ledger refused or repaired: late steps, duplicate deliveries, dropped replies.",
)
FEED_LAG: Final = Instrument(
    "trunkline.feed.lag", "gauge", "{entry}", (GROUP,), "Entries of the feed that a group of readers has not done yet."
)
FEED_LAG_AGE: Final = Instrument("trunkline.feed.lag_age", "gauge", "s", (GROUP,), "How old the oldest of them is.")
FEED_COUNTS: Final = Instrument(
    "trunkline.feed.counts",
    "counter",
    _WITHOUT_UNIT,
    (GROUP, KIND),
    "What a group of readers has counted: entries `lost` to the feed's cap or `taken_over`, and what it had to drop.",
)
FEED_UNMEASURED: Final = Instrument(
    "trunkline.feed.unmeasured",
    "counter",
    "{entry}",
    (REASON,),
    "Entries that added nothing to the metrics: their job had `expired`, or its facts are `unreadable`.",
)

LEADER: Final = Instrument(
    "trunkline.telemetry.leader", "gauge", _WITHOUT_UNIT, (), "1 in the one telemetry process that exports, else 0."
)

INSTRUMENTS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Instrument))


def prometheus_name(instrument: Instrument) -> str:
    """Its name in Prometheus, by OpenTelemetry's rules of translation: underscores, then the unit, then `_total`."""
    name = instrument.name.replace(".", "_")
    unit = _PROMETHEUS_UNITS.get(instrument.unit)
    if unit is not None and not name.endswith(f"_{unit}"):
        name = f"{name}_{unit}"
    return f"{name}_total" if instrument.kind == "counter" else name


def prometheus_label(label: str) -> str:
    """A label's name in Prometheus; the metric's own name says already that it is ours."""
    return label.removeprefix("trunkline.").replace(".", "_")


def exported_names(instrument: Instrument) -> tuple[str, ...]:
    """The names under which Prometheus can query it; a histogram has three."""
    name = prometheus_name(instrument)
    return tuple(f"{name}_{part}" for part in ("bucket", "count", "sum")) if instrument.kind == "histogram" else (name,)
