"""The dashboard's house of one test session: one server, two organizations, and how its visitors and tickets come in."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from playwright.async_api import ConsoleMessage, Dialog, Page

from asoe.app import App
from asoe.desk import approval_link, connector_settings, intake, journey, people, sign_in
from asoe.desk.intake import NewContact, NewTicket
from asoe.desk.runbook import rehearsal, shelf
from asoe.desk.runbook.template import runbook_text
from asoe.domain.organization import Principal
from asoe.domain.ticket import Ticket
from asoe.store import approvals, orchestrator, organizations, password_resets, tickets

if TYPE_CHECKING:
    from tests.cast import Org

COOKIE = "asoe_sign_in"
PASSWORD = "correct horse battery"
_WIDE = {f"a_column_{number}": f"usr_{number}00327@example.com" for number in range(12)}
"""What systems answer: wider than any page."""
_number = itertools.count(1)
Visitor = Callable[..., Awaitable[Page]]


@dataclass(frozen=True, slots=True)
class House:
    """What the server of this session serves."""

    url: str
    app: App
    acme: Org
    globex: Org

    async def sign_in(self, principal: Principal) -> str:
        """A sign-in's token, without the slow way over the password."""
        made = await sign_in.open_sign_in(self.app.desk, principal.user_id, agent="test")
        return made.token

    async def ticket(self, org: Org, *, subject: str = "Where is the invoice of May?", **fields: Any) -> Ticket:
        """A ticket that the engine has looked at: it is escalated, with a dossier, because nothing answers it."""
        number = next(_number)  # the same words of the same person would be the same ticket
        who = NewContact(email=f"ana{number}@example.com", name="Ana")
        values = {"body": "I cannot find it anywhere.", "contact": who, **fields}
        opened = await intake.open_ticket(self.app.desk, org.engine, NewTicket(subject=subject, **values))
        for _ in range(3):
            await journey.carry_on(self.app.desk, org.org_id, opened.id)
        return await self.read(org, opened.id)

    async def runbook(
        self, org: Org, *, subject: str = "A run", risk: str = "reversible", people: int = 1, role: str = "agent"
    ) -> dict[str, str]:
        """A published runbook of this organization, a run of it for a ticket, and an approval that the run waits for."""
        desk, name = self.app.desk, f"unlock-{next(_number)}"
        row, _ = await shelf.save(desk, org.owner, runbook_text(name))
        await shelf.publish(desk, org.owner, row.name)
        ticket = await self.ticket(org, subject=subject)
        run_id = await journey.begin_run(desk, org.owner, ticket.id, row.name)
        async with desk.database.org_transaction(org.engine) as connection:
            approval_id = await approvals.request(
                connection,
                org.org_id,
                run_id=run_id,
                ticket_id=ticket.id,
                path="steps/unlock/act/0",
                connector="estate",
                action="unlock",
                risk=risk,
                arguments={"id": "a-1", "note": "<b>bold</b>"},
                digest="d",
                card={
                    "evidence": {"account": {"status": "locked"}, "users": {"items": [_WIDE, _WIDE]}},
                    "undo": "estate.lock",
                },
                people=people,
                role=role,
                expires_after=timedelta(hours=1),
            )
        return {"name": row.name, "run_id": str(run_id), "approval_id": str(approval_id)}

    async def agent_run(self, org: Org, ticket_id: UUID) -> str:
        """The first pass of the engine's agents over a ticket."""
        async with self.app.desk.database.org_reading(org.engine) as connection:
            return str((await orchestrator.runs_of_ticket(connection, org.org_id, ticket_id))[-1]["id"])

    async def backtest(self, org: Org) -> str:
        """A backtest that is done, over three tickets."""
        made = await self.runbook(org, subject="Rehearsed")
        found = await rehearsal.begin(self.app.desk, org.owner, made["name"], most=3)
        await rehearsal.carry_out(self.app.desk, org.org_id, found)
        return str(found)

    async def connector(self, org: Org, name: str) -> str:
        """A connector of this organization to a system that nobody asks."""
        config = {"base_url": "https://crm.example", "operations": {"look": {"method": "GET", "path": "/look"}}}
        added = await connector_settings.add_connector(
            self.app.desk, org.owner, name=name, kind="http", config=config, secrets={}
        )
        return added.name

    async def reset(self, principal: Principal) -> str:
        """The token of a link that sets this person's password, as a mail would hold it."""
        desk, token = self.app.desk, f"asoe_reset_{secrets.token_urlsafe(32)}"
        async with desk.database.org_reading(await desk.engine_of(principal.org_id)) as connection:
            member = await organizations.find_member(connection, principal.org_id, principal.user_id)
        assert member is not None
        now = desk.clock()
        kept = await password_resets.ask(
            desk.database,
            str(member.email),
            people.hash_token(token),
            at=now,
            until=now + timedelta(hours=1),
            since=now,
            most=100,
        )
        assert kept is not None
        return token

    async def link(self, who: Principal, approval_id: str) -> str:
        """The path of the signed link that a mail about this approval would hold for this person."""
        desk = self.app.desk
        async with desk.database.org_transaction(await desk.engine_of(who.org_id)) as connection:
            member = await organizations.find_member(connection, who.org_id, who.user_id)
            assert member is not None
            path = await approval_link.path_for(desk, connection, member, who.org_id, UUID(approval_id))
        assert path is not None
        return path

    async def read(self, org: Org, ticket_id: UUID) -> Ticket:
        async with self.app.desk.database.org_reading(org.engine) as connection:
            return await tickets.find(connection, org.org_id, ticket_id)


@dataclass  # without slots: Playwright keeps something on whose methods it calls
class Watch:
    """What no page may ever do: raise, open a dialog, or want something that the policy forbids."""

    troubles: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def over(self, page: Page) -> None:
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.troubles.append(f"page error: {error}"))
        page.on("dialog", self._opened)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(words in message.text for words in self.expected):
            self.troubles.append(f"{message.type}: {message.text}")

    async def _opened(self, dialog: Dialog) -> None:
        self.troubles.append(f"dialog: {dialog.message}")
        await dialog.dismiss()


async def too_wide(page: Page) -> list[str]:
    """The elements that stick out of the window to the right, unless they scroll by themselves."""
    found: list[str] = await page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("main *")]
            .filter((element) => element.getBoundingClientRect().right > innerWidth + 1 && !element.closest(".scroll"))
            .map((element) => `${element.tagName} ${element.className}: ${element.textContent.slice(0, 60)}`).slice(0, 5)
            .concat(["the page is too wide"])"""
    )
    return found
