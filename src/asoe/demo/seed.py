"""Seeds the demo organization Tidepool from this folder: members, policy, keys, articles. Safe to repeat in one data folder."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import yaml

from asoe.desk import knowledge, people, sign_in, widget
from asoe.desk.context import Desk
from asoe.desk.widget import WidgetChange
from asoe.domain.errors import Conflict, Missing, Unavailable
from asoe.domain.organization import Principal
from asoe.store import organizations, sign_ins

FOLDER: Final = Path(__file__).parent
ARTICLES: Final = FOLDER / "articles"
KEYS: Final = ("admin", "agent", "client")
_OWNER: Final = ("owner@tidepool.example", "Olga Tide")
_KEY_NAME: Final = "demo"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Demo:
    """The seeded organization, a key of each role and its owner's password; only this object ever holds them."""

    org_id: UUID
    name: str
    slug: str
    owner: Principal
    articles: int
    keys: dict[str, str] = field(repr=False)
    password: str = field(repr=False)
    email: str = _OWNER[0]


async def seed(desk: Desk, owner_url: str, *, progress: Progress | None = None) -> Demo:
    """Make or complete the demo organization; a worker must run for its articles to become findable."""
    told = yaml.safe_load((FOLDER / "organization.yaml").read_text(encoding="utf-8"))
    try:
        made = await organizations.create_organization(owner_url, told["name"], told["slug"], _OWNER[0], _OWNER[1])
    except Conflict:
        made = await organizations.find_organization(owner_url, told["slug"])
    owner = made.owner
    await people.change_organization(desk, owner, settings=_settings(told))
    for member in told["members"]:
        try:
            await people.add_member(desk, owner, email=member["email"], name=member["name"], role=member["role"])
        except Conflict:
            continue  # seeded before
    for old in await people.list_keys(desk, owner, with_revoked=False):
        if old.name.startswith(_KEY_NAME):
            await people.revoke_key(desk, owner, old.id)
    password = secrets.token_urlsafe(9)
    await sign_ins.set_password(owner_url, _OWNER[0], await sign_in.hash_password(password))
    keys = {role: (await people.create_key(desk, owner, name=f"{_KEY_NAME} {role}", role=role)).token for role in KEYS}
    await widget.change_widget(desk, owner, WidgetChange(is_on=True, takes_anonymous=True, shows_help=True))
    report = await knowledge.import_folder(
        desk, owner, ARTICLES, (lambda done, total: progress("articles", done, total)) if progress else None
    )
    articles = len(report.created) + len(report.updated) + len(report.unchanged)
    return Demo(made.org_id, told["name"], told["slug"], owner, articles, keys, password)


async def wait_until_indexed(
    desk: Desk, owner: Principal, *, progress: Progress | None = None, stop: asyncio.Event, stall_seconds: float = 60
) -> None:
    """Wait until a worker has made every article findable; raises `Unavailable` when none makes any progress."""
    last, idle = -1, 0.0
    while not stop.is_set():
        standing = await knowledge.index_progress(desk, owner)
        if progress is not None:
            progress("index", standing.indexed, standing.total)
        if standing.indexed >= standing.total:
            return
        idle = 0.0 if standing.indexed != last else idle + 0.2
        last = standing.indexed
        if idle > stall_seconds:
            raise Unavailable(
                f"No worker indexes articles ({standing.indexed} of {standing.total} are done). Start one: asoe work",
                code="no_worker",
                permanent=True,
            )
        await asyncio.sleep(0.2)


def read_tickets(path: Path = FOLDER / "tickets.jsonl") -> list[dict[str, Any]]:
    """The demo's tickets with their clients' replies (`follow_ups`)."""
    if not path.is_file():
        raise Missing(f"There is no file {path}.", code="no_file")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _settings(told: dict[str, Any]) -> dict[str, Any]:
    plain = {name: told[name] for name in ("languages", "default_language", "time_zone", "teams", "routing")}
    return {**plain, **told["settings"]}
