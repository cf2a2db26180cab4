"""The report: any slice of an organization's tickets as figures with their definitions, and as rows for a spreadsheet.

What is asked whole comes from the counters, in a time that does not grow with the tickets; what is cut finer from the tickets' rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from asoe.desk.context import Desk
from asoe.domain.errors import Denied, FieldProblem, Invalid
from asoe.domain.organization import Principal
from asoe.domain.report import (
    DEFINITIONS,
    DIMENSIONS,
    FILTERS,
    LONGEST_DAYS,
    RATES,
    Counts,
    Group,
    Report,
    Slice,
    Times,
    Trend,
    times,
)
from asoe.store import insights
from asoe.store.db import Connection
from asoe.store.insights import DayCounts

MOST_CLIENTS: Final = 20
_GROUPED: Final = (*DIMENSIONS, "reason")
_WAITING: Final = 1000
_PARTS: Final = ("", "_of", "_low", "_high")


async def read_report(desk: Desk, principal: Principal, of: Slice, *, with_clients: bool = False) -> Report:
    """The report of a slice; staff only. Clients are named with `with_clients`, the `MOST_CLIENTS` with most tickets."""
    if principal.is_client:
        raise Denied("Clients see their own tickets, not the organization's figures.", code="staff_only")
    async with desk.database.org_reading(principal) as connection:
        return await read_within(connection, principal.org_id, of, now=desk.clock(), with_clients=with_clients)


async def read_within(
    connection: Connection, org_id: UUID, of: Slice, *, now: datetime, with_clients: bool = False
) -> Report:
    """The same inside a transaction that is open."""
    names: dict[str, str] = {}
    waiting = await insights.uncounted(connection, org_id, limit=_WAITING)
    if of.filters:
        found, days = await insights.slice_of(
            connection, org_id, since=of.since, until=of.until, filters=_values(of.filters)
        )
    else:
        wanted = ("all", "unit", *_GROUPED)
        found = await insights.counted(connection, org_id, since=of.since, until=of.until, dimensions=wanted)
        days = await insights.counted_days(connection, org_id, since=of.since, until=of.until)
    if with_clients:
        most = await insights.clients(
            connection, org_id, since=of.since, until=of.until, filters=_values(of.filters), limit=MOST_CLIENTS
        )
        found = [*found, *most]
        named = await insights.client_names(connection, org_id, (UUID(each.value) for each in most))
        names = {str(client): name for client, name in named.items()}
    return Report(
        of=of,
        made_at=now,
        source="tickets" if of.filters else "counters",
        uncounted=waiting,
        total=next((each.counts for each in found if each.dimension == "all"), Counts()),
        groups=_by_dimension(found, with_clients=with_clients),
        days=[_trend(day) for day in days],
        moved={each.value: each.counts.moved for each in found if each.dimension == "unit"},
        names=names,
    )


def read_slice(given: Mapping[str, str | None], today: date) -> Slice:
    """`month` (2026-11), or `since` and `until` (both days included), or the last `days` (30); and classes to choose.

    Raises `Invalid(bad_slice)` naming each wrong field.
    """
    problems: list[FieldProblem] = []
    since, until = _time(given, today, problems)
    filters = {name: str(value) for name in FILTERS if (value := given.get(name)) is not None}
    if "client" in filters:
        try:
            UUID(filters["client"])
        except ValueError:
            problems.append(FieldProblem("client", "is no id of a client"))
    problems.extend(
        FieldProblem(name, "is no more than 200 characters") for name in filters if len(filters[name]) > 200
    )
    problems.extend(
        FieldProblem(name, "holds a character that no class has") for name in filters if "\0" in filters[name]
    )
    if not problems and not since < until:
        problems.append(FieldProblem("until", "lies before since"))
    if not problems and (until - since).days > LONGEST_DAYS:
        problems.append(FieldProblem("since", f"lies more than {LONGEST_DAYS} days before until"))
    if problems:
        listed = "; ".join(f"{each.field}: {each.problem}" for each in problems)
        raise Invalid(f"There is no such slice of the tickets. {listed}.", code="bad_slice", fields=tuple(problems))
    return Slice(since, until, filters)


def to_json(report: Report) -> dict[str, Any]:
    """The report as plain values, with the definition of every figure."""
    return {
        "since": report.of.since.isoformat(),
        "until": (report.of.until - timedelta(days=1)).isoformat(),
        "filters": report.of.filters,
        "made_at": report.made_at,
        "source": report.source,
        "uncounted_facts": report.uncounted,
        "total": figures(report.total),
        "spared_replies": _round(report.spared_replies),
        "spared_minutes": _round(report.spared_minutes, 1),
        "moved": {unit: str(amount) for unit, amount in sorted(report.moved.items())},
        "groups": {
            name: [
                {"value": each.value, "name": report.names.get(each.value), **figures(each.counts)} for each in groups
            ]
            for name, groups in report.groups.items()
        },
        "days": [_day(day) for day in report.days],
        "definitions": DEFINITIONS,
    }


def to_rows(report: Report) -> list[list[str]]:
    """The report as a table: a heading, then a row for the total, each class and each day."""
    columns = ["tickets", "resting", *(f"{name}{part}" for name in RATES for part in _PARTS)]
    columns += ["first_response_median_s", "first_response_p90_s", "resolution_median_s", "resolution_p90_s"]
    columns += ["replies", "people_minutes", "tokens", "model_cost_usd", "moved"]
    rows = [["dimension", "value", "name", *columns], ["all", "", "", *_cells(report.total)]]
    for name, groups in report.groups.items():
        rows += [[name, each.value, report.names.get(each.value, ""), *_cells(each.counts)] for each in groups]
    rows += [
        ["unit", unit, "", *[""] * (len(columns) - 1), str(amount)] for unit, amount in sorted(report.moved.items())
    ]
    for day in report.days:
        counts = Counts(day.tickets, day.resting, day.handled, day.contained, day.verified)
        known = {
            "tickets",
            "resting",
            *(f"{each}{part}" for each in ("handled", "contained", "verified") for part in _PARTS),
        }
        cells = zip(columns, _cells(counts), strict=True)
        rows.append(["day", day.day.isoformat(), "", *(cell if name in known else "" for name, cell in cells)])
    return [[_harmless(cell) for cell in row] for row in rows]


def figures(counts: Counts) -> dict[str, Any]:
    """The figures of some tickets as plain values."""
    rates = {}
    for name, rate in counts.rates.items():
        low, high = rate.interval or (None, None)
        rates[name] = {
            "hits": rate.hits,
            "of": rate.total,
            "share": _round(rate.share),
            "low": _round(low),
            "high": _round(high),
        }
    return {
        "tickets": counts.tickets,
        "resting": counts.resting,
        "rates": rates,
        "first_response": _spread(times(counts.answered_times)),
        "resolution_time": _spread(times(counts.resolved_times)),
        "replies": counts.replies,
        "people_minutes": round(counts.people_minutes, 1),
        "tokens": counts.tokens,
        "model_cost_usd": str(counts.model_cost),
    }


def _day(day: Trend) -> dict[str, Any]:
    counted = ("tickets", "resting", "handled", "contained", "verified", "replies")
    return {
        "day": day.day.isoformat(),
        **{name: getattr(day, name) for name in counted},
        "people_minutes": round(day.people_minutes, 1),
        "model_cost_usd": str(day.model_cost),
    }


def _time(given: Mapping[str, str | None], today: date, problems: list[FieldProblem]) -> tuple[date, date]:
    month, days = given.get("month"), given.get("days")
    if month:
        try:
            first = date.fromisoformat(f"{month}-01")
            return first, (first.replace(day=28) + timedelta(days=4)).replace(day=1)
        except (ValueError, OverflowError):
            problems.append(FieldProblem("month", "is no month such as 2026-11"))
            return today, today
    found: dict[str, date | None] = {"since": None, "until": None}
    for name in found:
        text = given.get(name)
        try:
            found[name] = date.fromisoformat(text) if text else None
        except ValueError:
            problems.append(FieldProblem(name, "is no day such as 2026-11-01"))
    if days is not None and not (days.isascii() and days.isdigit() and 0 < int(days[:6]) <= LONGEST_DAYS):
        problems.append(FieldProblem("days", f"is no number from 1 to {LONGEST_DAYS}"))
        days = None
    last = min(found["until"] or today, date.max - timedelta(days=1))
    try:
        first = found["since"] or last - timedelta(days=int(days or 30) - 1)
    except OverflowError:
        problems.append(FieldProblem("until", "lies too long ago"))
        first = last
    return first, last + timedelta(days=1)


def _values(filters: Mapping[str, str]) -> dict[str, Any]:
    return {name: UUID(value) if name == "client" else value for name, value in filters.items()}


def _by_dimension(found: Sequence[Group], *, with_clients: bool) -> dict[str, list[Group]]:
    names = (*_GROUPED, "client") if with_clients else _GROUPED
    return {
        name: sorted(
            (each for each in found if each.dimension == name), key=lambda each: (-each.counts.tickets, each.value)
        )
        for name in names
    }


def _trend(day: DayCounts) -> Trend:
    return Trend(**asdict(day))


def _spread(found: Times) -> dict[str, Any]:
    return {
        "tickets": found.tickets,
        "median_seconds": _round(found.median, 1),
        "p90_seconds": _round(found.p90, 1),
        "distribution": [{"from": low, "to": high, "tickets": number} for low, high, number in found.steps],
    }


def _cells(counts: Counts) -> list[str]:
    cells = [str(counts.tickets), str(counts.resting)]
    for rate in counts.rates.values():
        low, high = rate.interval or (None, None)
        cells += [str(rate.hits), str(rate.total), _text(_round(low)), _text(_round(high))]
    for counted in (counts.answered_times, counts.resolved_times):
        found = times(counted)
        cells += [_text(_round(found.median, 1)), _text(_round(found.p90, 1))]
    return [
        *cells,
        str(counts.replies),
        str(round(counts.people_minutes, 1)),
        str(counts.tokens),
        str(counts.model_cost),
        "",
    ]


def _harmless(cell: str) -> str:
    """A spreadsheet takes a cell that begins like this for a formula, and a class or a name may be anybody's words."""
    return f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell


def _round(value: float | None, digits: int = 6) -> float | None:
    return None if value is None else round(value, digits)


def _text(value: float | None) -> str:
    return "" if value is None else str(value)
