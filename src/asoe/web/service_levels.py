"""Settings of service levels: what the organization promises, and in which hours. For owners and admins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from asoe.desk import service_level
from asoe.domain.calendar import MOST_HOLIDAYS, WEEKDAYS
from asoe.domain.errors import AsoeError
from asoe.domain.service_level import ALWAYS_OPEN, MOST_HOURS, MOST_TARGETS, TARGETS, WARN_AT
from asoe.domain.ticket import SEVERITY_RANK
from asoe.web.door import ADMINS, Pages, Visit
from asoe.web.settings import TABS

pages = Pages()
_PATH: Final = "/settings/service-levels"
_DAYS: Final = dict(
    zip(WEEKDAYS, ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), strict=True)
)
_APART: Final = re.compile(r"[,;\s]+")


@pages.get(_PATH, roles=ADMINS)
async def show(visit: Visit) -> Response:
    hours, levels = await service_level.read_levels(visit.desk, visit.principal)
    return await _page(visit, hours, levels)


@pages.post(_PATH, roles=ADMINS)
async def change(visit: Visit) -> Response:
    """What the form holds replaces what was there; a target without a time and hours without a name are left out."""
    hours, levels = _hours(visit), _levels(visit)
    try:
        await service_level.change_levels(visit.desk, visit.principal, business_hours=hours, levels=levels)
    except AsoeError as error:
        return await _page(visit, hours, levels, problem=error)
    return visit.back(_PATH, "Saved. Clocks that run count by it from now on.")


async def _page(
    visit: Visit, hours: Mapping[str, Any], levels: Mapping[str, Any], *, problem: AsoeError | None = None
) -> Response:
    stored = [row for row in levels.get("targets", ()) if isinstance(row, Mapping)]
    usual = {row.get("severity"): row for row in stored if not row.get("plan")}
    severities = sorted(SEVERITY_RANK, key=SEVERITY_RANK.__getitem__, reverse=True)
    rows = [usual.get(severity, {"severity": severity}) for severity in severities]
    return visit.page(
        "service_levels.html",
        422 if problem else 200,
        tabs=TABS,
        problem=problem,
        rows=[*rows, *(row for row in stored if row.get("plan"))],
        usual=len(rows),
        targets=TARGETS,
        severities=severities,
        hours=list(hours.items()),
        names=[ALWAYS_OPEN, *hours],
        default=levels.get("hours", ALWAYS_OPEN),
        team_hours="\n".join(f"{team} = {name}" for team, name in dict(levels.get("team_hours") or {}).items()),
        warn_percent=_percent(levels.get("warn_at", WARN_AT)),
        days=_DAYS,
        kept=await service_level.kept(visit.desk, visit.principal),
    )


def _levels(visit: Visit) -> dict[str, Any]:
    targets = []
    for index in range(MOST_TARGETS):
        if f"target.{index}.severity" not in visit.form:
            break
        names = ("severity", "plan", "hours", *TARGETS)
        given = {name: visit.text(f"target.{index}.{name}", most=100).strip() for name in names}
        row = {name: value.replace(" ", "") if name in TARGETS else value for name, value in given.items() if value}
        if set(row) & set(TARGETS):
            targets.append(row)
    by_team = (line.partition("=") for line in visit.text("team_hours", most=5000).splitlines() if line.strip())
    percent = visit.text("warn_percent", most=10).strip().replace(",", ".")
    try:
        warn_at: Any = round(float(percent) / 100, 4)
    except ValueError:
        warn_at = percent
    return {
        "targets": targets,
        "hours": visit.text("hours", ALWAYS_OPEN, most=100),
        "team_hours": {team.strip(): name.strip() for team, _, name in by_team},
        "warn_at": warn_at,
    }


def _hours(visit: Visit) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for index in range(MOST_HOURS):
        if f"hours.{index}.name" not in visit.form:
            break
        name = visit.text(f"hours.{index}.name", most=100).strip()
        if not name:
            continue
        week = {day: _parts(visit.text(f"hours.{index}.{day}", most=300)) for day in WEEKDAYS}
        found[name] = {
            "zone": visit.text(f"hours.{index}.zone", "UTC", most=100).strip(),
            "week": {day: spans for day, spans in week.items() if spans},
            "holidays": _parts(visit.text(f"hours.{index}.holidays", most=MOST_HOLIDAYS * 12)),
        }
    return found


def _percent(share: Any) -> str:
    """A share as a percentage; what was typed, where it was no number."""
    return share if isinstance(share, str) else f"{100 * share:g}"


def _parts(text: str) -> list[str]:
    return [part for part in _APART.split(text) if part]
