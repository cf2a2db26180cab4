"""The composition root: opens the store, the models, the secret key and the desk, and closes them in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

import asyncpg
import structlog

from asoe import tracing
from asoe.ai.local import LocalAI
from asoe.config import Settings, telemetry
from asoe.connectors.kinds import Kind, lazily
from asoe.desk import (
    briefing,
    delivery,
    housekeeping,
    journey,
    learning,
    mail_intake,
    notification,
    recommendation,
    wish,
)
from asoe.desk import knowledge as knowledge_desk
from asoe.desk.connector import PURPOSE, Connectors, EngineOf
from asoe.desk.context import Desk, Judgement, ModelAccess, Thresholds
from asoe.desk.house_mail import read_house_mail
from asoe.desk.ledger import credits_kind
from asoe.desk.runbook import rehearsal
from asoe.domain.errors import Unavailable
from asoe.queue import Queue
from asoe.queue.worker import Cron, Worker
from asoe.secret_key import SecretKey, open_secret_key
from asoe.store.db import Database, open_database
from asoe.store.embedded import EmbeddedServer, close_embedded, open_embedded
from asoe.store.migrate import migrate, pending
from asoe.tracing import measures

if TYPE_CHECKING:
    from asoe.tracing.export import Exporting

_log = structlog.get_logger(__name__)

Progress = Callable[[str], None]
_MINUTE: Final = timedelta(minutes=1)
_SEALED_EVERY: Final = timedelta(seconds=20)
_COUNTED_EVERY: Final = timedelta(seconds=2)
_CERTIFIED_EVERY: Final = timedelta(minutes=5)
_ADVISED_EVERY: Final = timedelta(minutes=15)
KINDS: Final[tuple[Kind, ...]] = (
    lazily("http", "any system with a REST API"),
    lazily("mcp", "tools of an MCP server"),
    lazily("a2a", "outside agents that speak A2A"),
    lazily("stripe", "Stripe: charges, refunds, subscriptions, invoices"),
    lazily("prefect", "Prefect 3: stuck flow runs, reset, cancel, resume"),
)
"""The kinds of connectors there are; one more is one more entry here."""


@dataclass(frozen=True, slots=True)
class App:
    """Everything that is open in this process. `owner_url` is None where this process has no owner's connection."""

    settings: Settings
    database: Database
    desk: Desk
    secret_key: SecretKey
    app_url: str = field(repr=False)
    owner_url: str | None = field(repr=False)
    server: EmbeddedServer | None = None

    async def run_worker(self, stop: asyncio.Event) -> None:
        """Advance journeys and do the housekeeping until `stop`, then drain."""
        listen_url = self.settings.database_queue_url or self.app_url
        await Worker(
            listen_url,
            {
                "advance": self._advance,
                "advance_run": self._advance_run,
                "index_article": self._index_article,
                "deliver": self._deliver,
                wish.JOB: self._tell_wishes,
                rehearsal.JOB: self._backtest,
                learning.JOB: self._retrain,
                recommendation.JOB: self._recommend,
            },
            self._crons(),
            concurrency=self.settings.worker_concurrency,
            statement_cache=self.settings.database_statement_cache,
        ).run(stop)

    async def _advance(self, ids: dict[str, UUID]) -> None:
        if await journey.carry_on(self.desk, ids["org_id"], ids["ticket_id"]) == "given_away":
            _log.error("journey.given_away", ticket_id=str(ids["ticket_id"]))

    async def _advance_run(self, ids: dict[str, UUID]) -> None:
        if await journey.carry_on_run(self.desk, ids["org_id"], ids["run_id"]) == "given_away":
            _log.error("journey.given_away", run_id=str(ids["run_id"]))

    async def _index_article(self, ids: dict[str, UUID]) -> None:
        await knowledge_desk.index_article(self.desk, ids["org_id"], ids["article_id"])

    async def _deliver(self, ids: dict[str, UUID]) -> None:
        await delivery.deliver(self.desk, ids["org_id"], ids["delivery_id"])

    async def _retrain(self, ids: dict[str, UUID]) -> None:
        await learning.train(self.desk, ids["org_id"])

    async def _recommend(self, ids: dict[str, UUID]) -> None:
        await recommendation.look(self.desk, await self.desk.engine_of(ids["org_id"]))

    async def _tell_wishes(self, ids: dict[str, UUID]) -> None:
        await wish.tell(self.desk, ids["org_id"])

    async def _backtest(self, ids: dict[str, UUID]) -> None:
        await rehearsal.carry_out(self.desk, ids["org_id"], ids["run_id"])

    def _crons(self) -> list[Cron]:
        every = timedelta(seconds=max(1.0, self.settings.journey_poll_seconds))
        return [
            Cron("journey.timers", every, lambda: housekeeping.wake_due(self.desk)),
            Cron("runs.due", every, lambda: housekeeping.wake_runs(self.desk)),
            Cron("service_levels.keep", every, lambda: housekeeping.keep_service_levels(self.desk)),
            Cron("insights.count", max(every, _COUNTED_EVERY), lambda: housekeeping.keep_counters(self.desk)),
            Cron("incidents.keep", every, lambda: housekeeping.keep_incidents(self.desk)),
            Cron("topics.find", timedelta(minutes=10), lambda: housekeeping.find_topics(self.desk)),
            Cron("spikes.watch", _MINUTE, lambda: housekeeping.watch_spikes(self.desk)),
            Cron("certificates.keep", _CERTIFIED_EVERY, lambda: housekeeping.keep_certificates(self.desk)),
            Cron("recommendations.look", _ADVISED_EVERY, lambda: housekeeping.keep_advice(self.desk)),
            Cron("notifications.spread", every, lambda: notification.spread(self.desk)),
            Cron("briefings.send", _MINUTE, lambda: briefing.send_due(self.desk)),
            Cron("deliveries.due", timedelta(seconds=5), lambda: delivery.wake_due(self.desk)),
            Cron("mailboxes.fetch", timedelta(seconds=30), lambda: mail_intake.fetch_all(self.desk)),
            Cron("approvals.expire", _MINUTE, lambda: housekeeping.expire_approvals(self.desk)),
            Cron("journey.sweep", _MINUTE, lambda: housekeeping.wake_forgotten(self.desk)),
            Cron("audit.seal", _SEALED_EVERY, lambda: housekeeping.seal_facts(self.desk)),
            Cron("tally.fold", _MINUTE, lambda: housekeeping.fold_tallies(self.desk)),
            Cron("partitions.ahead", timedelta(hours=6), lambda: housekeeping.prepare_partitions(self.desk)),
            Cron("retention.apply", timedelta(hours=6), lambda: housekeeping.apply_retention(self.desk)),
        ]


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    progress: Progress | None = None,
    clock: Callable[[], datetime] | None = None,
    ai: Judgement | None = None,
) -> AsyncIterator[App]:
    """Open the installation that `settings` describe.

    Embedded: starts or attaches to PostgreSQL and migrates. Elsewhere: refuses with `Unavailable(pending_migrations)`.
    """
    say = progress or (lambda _: None)
    house_mail = read_house_mail(settings.mail_url, settings.mail_from)
    server: EmbeddedServer | None = None
    owner_url: str | None
    traces = open_tracing()
    try:
        if settings.is_embedded:
            say("Opening the embedded PostgreSQL")
            server = await open_embedded(settings.data_dir, progress=progress)
            await migrate(server.owner_dsn, progress=progress)
            app_url, system_url, owner_url = server.app_dsn, server.system_dsn, server.owner_dsn
        else:
            app_url, system_url, owner_url = await _external(settings)
        async with _opened(app_url, system_url, settings) as database:
            say("Loading the models")
            local = None if ai else await LocalAI.load()
            judgement: Judgement = ai or local  # type: ignore[assignment]  # one of the two is there
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            async with database.app.acquire() as connection:
                secret_key = await open_secret_key(settings.data_dir, connection)
            desk = Desk(
                database=database,
                queue=Queue(),
                ai=judgement,
                clock=clock or (lambda: datetime.now(UTC)),
                thresholds=Thresholds(
                    answer=settings.answer_threshold,
                    confidence=settings.confidence_threshold,
                    triage_budget=timedelta(milliseconds=settings.triage_budget_ms),
                ),
                public_url=(settings.public_url or f"http://{settings.host}:{settings.port}").rstrip("/"),
                house_mail=house_mail,
            )
            connectors = open_connectors(database, secret_key, desk.engine_of)
            desk = replace(desk, connectors=connectors, derive=secret_key.derive_all)
            try:
                async with open_language_model(settings) as access:
                    desk = replace(desk, model=access)
                    yield App(settings, database, desk, secret_key, app_url, owner_url, server)
            finally:
                await connectors.close()
                if local is not None:
                    await local.close()
    finally:
        if traces is not None:
            await traces.close()
        if server is not None:
            await close_embedded(server)


def open_tracing() -> Exporting | None:
    """The way to the collector that the environment names; None without one, and when this process has one already."""
    wanted = telemetry()
    if not (wanted.wants_traces or wanted.wants_figures) or tracing.is_on() or measures.is_sent():
        return None
    from asoe.tracing.export import Exporting

    service = None if wanted.service_name else "asoe"
    return Exporting(service=service, traces=wanted.wants_traces, figures=wanted.wants_figures)


@asynccontextmanager
async def open_language_model(settings: Settings) -> AsyncIterator[ModelAccess | None]:
    """The model that the settings name, with its limits; None where they name none, and nothing of it is imported then."""
    if settings.model is None:
        yield None
        return
    from asoe.ai.language_model.providers import Prices, open_model

    one, other = settings.model_price_in, settings.model_price_out
    prices = None if one is None and other is None else Prices(one or Decimal(0), other or Decimal(0))
    async with open_model(
        settings.model,
        url=settings.model_url,
        api_key=settings.model_api_key,
        prices=prices,
        output=settings.model_output,
    ) as model:
        yield ModelAccess(
            model,
            timeout=settings.model_timeout_seconds,
            tokens_per_day=settings.model_tokens_per_day,
            usd_per_day=settings.model_usd_per_day,
            open_other=lambda name: open_model(
                name, url=settings.model_url, api_key=settings.model_api_key, prices=None, output=settings.model_output
            ),
        )


def open_connectors(database: Database, secret_key: SecretKey, engine_of: EngineOf) -> Connectors:
    """The directory of this process; secrets open with every key there ever was, the newest seals."""
    kinds = (*KINDS, credits_kind(database, engine_of))
    return Connectors(
        database, engine_of, keys=secret_key.derive_all(PURPOSE), kinds={kind.name: kind for kind in kinds}
    )


@asynccontextmanager
async def _opened(app_url: str, system_url: str, settings: Settings) -> AsyncIterator[Database]:
    database = await open_database(
        app_url, system_url, pool=settings.database_pool, statement_cache=settings.database_statement_cache
    )
    try:
        yield database
    finally:
        await database.close()


async def _external(settings: Settings) -> tuple[str, str, str | None]:
    app_url, system_url = settings.database_app_url, settings.system_url
    if app_url is None or system_url is None:
        raise Unavailable(
            "ASOE_DATABASE_URL is set and ASOE_DATABASE_APP_URL is not: `serve` and `work` connect as role asoe_app. Set "
            "it to the same database with user asoe_app and a password, then run `asoe migrate`, which makes the role.",
            code="no_app_url",
            permanent=True,
        )
    try:
        missing = await pending(app_url)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise Unavailable(
            f"The database at ASOE_DATABASE_APP_URL does not let us in ({error}). Run `asoe doctor`.",
            code="database_unreachable",
            retry_after=5,
        ) from error
    if missing:
        raise Unavailable(
            f"{len(missing)} migrations are pending (next: {missing[0].number} {missing[0].name}). Run `asoe migrate` first.",
            code="pending_migrations",
            permanent=True,
        )
    return app_url, system_url, settings.database_url
