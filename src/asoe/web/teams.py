"""Settings of teams, people and rules of escalation, as text. For owners and admins."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from asoe.desk import routing
from asoe.desk.settings_text import read_settings, write_settings
from asoe.domain.errors import AsoeError
from asoe.domain.escalation import REASONS, WEIGHTS
from asoe.web.door import ADMINS, Pages, Visit
from asoe.web.settings import TABS

pages = Pages()
_PATH: Final = "/settings/teams"
_PARTS: Final = ("teams", "people", "escalation")


@pages.get(_PATH, roles=ADMINS)
async def show(visit: Visit) -> Response:
    return await _page(visit, write_settings(await routing.read_teams(visit.desk, visit.principal)))


@pages.post(_PATH, roles=ADMINS)
async def change(visit: Visit) -> Response:
    """The text replaces what was there; a part that it leaves out is emptied."""
    text = visit.text("text", most=300_000)
    try:
        given = {name: {} for name in _PARTS} | (read_settings(text, _PARTS) if text.strip() else {})
        await routing.change_teams(visit.desk, visit.principal, **given)
    except AsoeError as error:
        return await _page(visit, text, problem=error)
    return visit.back(_PATH, "Saved. It holds for what is given from now on.")


async def _page(visit: Visit, text: str, *, problem: AsoeError | None = None) -> Response:
    weights = {name: (weight, REASONS[name]) for name, weight in WEIGHTS.items()}
    return visit.page(
        "teams.html",
        422 if problem else 200,
        tabs=TABS,
        text=text,
        asked=await routing.who_is_asked(visit.desk, visit.principal),
        problem=problem,
        weights=weights,
        example=EXAMPLE,
    )


EXAMPLE: Final = """teams:
  billing:
    hours: office               # of Service levels
    spread: least_loaded        # or round_robin
    when_closed: wait           # or raise: to the next level at once
    levels:
      - {members: [ben@acme.example, dora@acme.example], take_within: 30m}
      - {members: [eve@acme.example], take_within: 1h}
  on_call:
    levels:
      - take_within: 15m
        rota: {members: [ben@acme.example, eve@acme.example], from: 2026-11-23T09:00, days: 7, zone: Europe/Berlin}
people:
  ben@acme.example: {languages: [en, de], skills: [double_charge, legal], capacity: 10}
escalation:
  teams: {legal: legal, safety: on_call}
  weights: {anger: 1}
  rules:
    - {name: press, words: [journalist], team: product}
"""
