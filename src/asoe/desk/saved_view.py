"""Saved views of the queue. Everybody of the staff keeps own ones and may share them; what the filters mean is the queue's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from asoe.desk.context import Desk, unstorable
from asoe.domain.errors import Denied, FieldProblem, Invalid, Missing
from asoe.domain.organization import Principal
from asoe.domain.saved_view import SavedView
from asoe.store import facts, saved_views

LONGEST_NAME: Final = 60
MOST_OWN: Final = 30


async def list_views(desk: Desk, principal: Principal) -> list[SavedView]:
    """One's own and the shared ones."""
    _require_staff(principal)
    async with desk.database.org_reading(principal) as connection:
        return await saved_views.list_visible(connection, principal.org_id)


async def save_view(
    desk: Desk, principal: Principal, name: str, filters: Mapping[str, str], *, is_shared: bool = False
) -> SavedView:
    """Keep a view, or replace one's own of this name; raises `Invalid(bad_view)`."""
    _require_staff(principal)
    name = " ".join(name.split())
    problem = ""
    if not 1 <= len(name) <= LONGEST_NAME:
        problem = f"must have 1 to {LONGEST_NAME} characters"
    elif unstorable(name, "name") or not name.isprintable():
        problem = "holds a character that cannot be shown"
    if problem:
        raise _bad(problem)
    async with desk.database.org_transaction(principal) as connection:
        found = await saved_views.put(
            connection, principal.org_id, principal.user_id, name=name, filters=filters, is_shared=is_shared
        )
        if await saved_views.count_own(connection, principal.org_id, principal.user_id) > MOST_OWN:
            raise _bad(f"would be one of more than {MOST_OWN} views of yours; remove one first")
        await facts.record(connection, principal, "view.saved", view_id=found.id, shared=is_shared)
        return found


async def remove_view(desk: Desk, principal: Principal, view_id: UUID) -> SavedView:
    """One's own, or as an admin a shared one; raises `Missing(no_view)`."""
    _require_staff(principal)
    async with desk.database.org_transaction(principal) as connection:
        found = await saved_views.remove(connection, principal.org_id, view_id)
        if found is None:
            raise Missing("There is no such view of yours.", code="no_view")
        await facts.record(connection, principal, "view.removed", view_id=view_id, shared=found.is_shared)
        return found


def _bad(problem: str) -> Invalid:
    return Invalid(f"The name {problem}.", code="bad_view", fields=(FieldProblem("name", problem),))


def _require_staff(principal: Principal) -> None:
    if not principal.is_staff or principal.is_engine:
        raise Denied("Views are for the people of the support team.", code="staff_only")
