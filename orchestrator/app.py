"""The actors of the orchestrator, and the broker they are declared on.

`trunkline orchestrator` runs them on an event loop; the stock command does so on threads:

    dramatiq orchestrator.app:setup

An actor's body is short: open the envelope, call one function, which records what it did.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dramatiq
from dramatiq.middleware import AsyncIO, Middleware

from ledger import job_end
from ledger.accepting import AcceptanceRules
from messaging.broker import TrunklineBroker
from messaging.command_runner import AsyncCommandRunner, PipeliningRunner
from messaging.delivery import Delivery, current_delivery
from messaging.envelopes import open_envelope
from messaging.logging import configure_logging
from messaging.redis_access.connections import async_client, blocking_client
from messaging.settings import load_settings
from orchestrator.catalogue_view import CatalogueView
from orchestrator.endings import answer_dead_letter
from orchestrator.intake import take_in
from orchestrator.model_client import ModelClient
from orchestrator.settings import OrchestratorSettings
from orchestrator.sweeper import sweep_for_ever
from orchestrator.take_turn import TurnTaker
from schemas.envelope import ExpiryEnvelope, TurnEnvelope
from schemas.wire import SCHEMA_VERSION

ORCHESTRATOR_QUEUE = "orchestrator"
INTAKE_QUEUE = "intake"
#: Who hears of dead letters, so that no gather waits for a call that nobody can process.
DEAD_LETTER_NOTICE = (ORCHESTRATOR_QUEUE, "answer_dead_letter")


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """What the actors work with; lives on one event loop."""

    runner: AsyncCommandRunner
    turns: TurnTaker
    rules: AcceptanceRules

    @classmethod
    def build(cls, settings: OrchestratorSettings, *, runner: AsyncCommandRunner, model: ModelClient) -> "Orchestrator":
        """Puts the parts together."""
        turns = TurnTaker(
            runner=runner,
            model=model,
            catalogue=CatalogueView(runner),
            default_model=settings.model,
            model_timeout=settings.model_timeout,
            model_attempts=settings.model_attempts,
        )
        return cls(runner=runner, turns=turns, rules=settings.acceptance_rules())


class OrchestratorActors:
    """Declares the actors on a broker.

    Args:
        broker: Where they are declared.
        settings: Of this process.
        orchestrator: What they work with; by default it is built on the loop of the first actor that runs.
    """

    def __init__(
        self, broker: TrunklineBroker, settings: OrchestratorSettings, orchestrator: Orchestrator | None = None
    ) -> None:
        self._broker = broker
        self._settings = settings
        self._orchestrator = orchestrator
        self._background: asyncio.Task[None] | None = None
        for function, queue in (
            (self.take_turn, ORCHESTRATOR_QUEUE),
            (self.expire_job, ORCHESTRATOR_QUEUE),
            (self.answer_dead_letter, ORCHESTRATOR_QUEUE),
            (self.accept_job, INTAKE_QUEUE),
        ):
            dramatiq.actor(actor_name=function.__name__, queue_name=queue, broker=broker)(function)

    def orchestrator(self) -> Orchestrator:
        """What the actors work with, on the running loop."""
        if self._orchestrator is None:
            runner = PipeliningRunner(async_client(self._settings), namespace=self._broker.namespace)
            model = openai_model(self._settings)
            self._orchestrator = Orchestrator.build(self._settings, runner=runner, model=model)
        if self._background is None:
            self._background = asyncio.create_task(
                sweep_for_ever(
                    self._orchestrator.runner,
                    namespace=self._broker.namespace,
                    interval=self._settings.sweep_interval,
                )
            )
        return self._orchestrator

    async def take_turn(self, **envelope: Any) -> None:
        """Takes one turn of a job."""
        delivery, orchestrator = current_delivery(), self.orchestrator()
        turn = await open_envelope(
            TurnEnvelope, envelope, delivery=delivery, runner=orchestrator.runner, notice=DEAD_LETTER_NOTICE
        )
        if turn is not None:
            self._comes_back(await orchestrator.turns.take(delivery, turn))

    async def expire_job(self, **envelope: Any) -> None:
        """Ends a job whose deadline has passed."""
        delivery, orchestrator = current_delivery(), self.orchestrator()
        expiry = await open_envelope(
            ExpiryEnvelope, envelope, delivery=delivery, runner=orchestrator.runner, notice=None
        )
        if expiry is not None:
            await orchestrator.runner.run(job_end.expire_job(delivery, expiry.job_id))
            delivery.settled = True

    async def accept_job(self, job: Mapping[str, Any] | None = None, **rest: Any) -> None:
        """Takes in a chat job that comes as a message: `accept_job(job={…})`, or its fields as keyword arguments."""
        delivery, orchestrator = current_delivery(), self.orchestrator()
        await take_in(
            delivery,
            _message_id(delivery),
            job if job is not None and not rest else rest,
            runner=orchestrator.runner,
            rules=orchestrator.rules,
        )

    async def answer_dead_letter(self, queue: str, message_id: str, cause: Mapping[str, Any]) -> None:
        """Answers whoever waits for a message that became a dead letter."""
        await answer_dead_letter(message_id, cause, runner=self.orchestrator().runner)

    def _comes_back(self, delay: timedelta | None) -> None:
        if delay is not None:
            self._broker.life.round_due_in(delay)


def build_broker(settings: OrchestratorSettings, *, middleware: tuple[Middleware, ...] = ()) -> TrunklineBroker:
    """The broker of an orchestrator process, without actors."""
    broker = TrunklineBroker(
        blocking_client(settings),
        namespace=settings.namespace,
        middleware=middleware,
        heartbeat_timeout=settings.heartbeat_timeout,
        dead_letter_notice=DEAD_LETTER_NOTICE,
    )
    broker.worker_info = {"role": "orchestrator", "reads": SCHEMA_VERSION}
    return broker


def openai_model(settings: OrchestratorSettings) -> ModelClient:
    """The endpoint that the settings name."""
    from orchestrator.openai_chat import OpenAIChat  # the SDK costs 40 MiB, and tests of the rest do without it

    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else "not-set"
    return OpenAIChat(api_key=key, base_url=settings.openai_base_url)


def setup() -> None:
    """Sets the process's broker and logging up for the stock `dramatiq` command."""
    settings = load_settings(OrchestratorSettings)
    configure_logging(
        settings.log_level, settings.log_format, process_role="orchestrator", hidden_fields=settings.redact_fields
    )
    broker = build_broker(settings, middleware=(AsyncIO(),))
    dramatiq.set_broker(broker)
    OrchestratorActors(broker, settings)


def _message_id(delivery: Delivery) -> str:
    return delivery.message_id or delivery.id
