"""The dashboard's house of one test session: one server, two organizations, and how its visitors and tickets come in."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from playwright.async_api import ConsoleMessage, Dialog, Page

from asoe.app import App
from asoe.desk import intake, journey, sign_in
from asoe.desk.intake import NewContact, NewTicket
from asoe.domain.organization import Principal
from asoe.domain.ticket import Ticket
from asoe.store import tickets

if TYPE_CHECKING:
    from tests.cast import Org

COOKIE = "asoe_sign_in"
PASSWORD = "correct horse battery"
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
