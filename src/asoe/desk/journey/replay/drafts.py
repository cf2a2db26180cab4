"""A draft of an article out of a person's answer, worded again: by another language model, or with other instructions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from asoe.desk import gap
from asoe.desk.context import Desk
from asoe.desk.journey.replay.trying import Instead, Judged, alone, other_desk
from asoe.desk.trail import Trail
from asoe.domain.knowledge import ArticleText
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy, read_policy
from asoe.store import knowledge, organizations
from asoe.store.db import Connection

_DRAFTED: Final = "drafted"


def is_one(run: Mapping[str, Any]) -> bool:
    return bool(run["entrypoint"] == gap.ENTRYPOINT)


async def judge(
    desk: Desk, engine: Principal, run: Mapping[str, Any], asked: Instead
) -> tuple[Judged, Judged, Judged | None]:
    """(as it was, as it would be today, as it would be with what is tried)."""
    async with desk.database.org_reading(engine) as connection:
        settings = (await organizations.read_organization(connection, engine.org_id)).settings
        policy = read_policy(settings)
        material = await gap.material(connection, engine, run["ticket_id"], policy, upto=run["basis"]["positions"])
        first = await _first(connection, engine, material.text)
    was = Judged(
        decision=_DRAFTED,
        answer=first or "",
        consulted=tuple(f"{each['input'].get('use')}: {each['output'].get('outcome')}" for each in run["invocations"]),
    )
    desk = alone(desk, is_consulted=asked.is_consulted)
    today = await _again(desk, material, policy)
    if not asked.is_something:
        return was, today, None
    tried = read_policy({**settings, **(asked.settings or {})})
    async with other_desk(desk, asked) as other:
        return was, today, await _again(other, material, tried)


async def _again(desk: Desk, material: gap.Material, policy: Policy) -> Judged:
    trail = Trail(desk.clock, initiator="replay", entrypoint="replay")  # never saved
    text = await gap.worded(desk, material, policy, trail)
    consulted = tuple(f"{each.input_summary['use']}: {each.output_summary['outcome']}" for each in trail.invocations)
    return Judged(decision=_DRAFTED, answer=_shown(text), consulted=consulted)


async def _first(connection: Connection, engine: Principal, text: ArticleText) -> str | None:
    """The draft as it was saved, while it is kept."""
    article = await knowledge.find_by_slug(connection, engine.org_id, text.slug, text.language)
    versions = [] if article is None else await knowledge.versions(connection, engine.org_id, article.id)
    return next((_shown(each.text) for each in versions if each.version == 1), None)


def _shown(text: ArticleText) -> str:
    return f"# {text.title}\n\n{text.body}"
