from __future__ import annotations

from dataclasses import replace

import asyncpg
import pytest
from desk_cast import Clock, Judgement, WatchedDatabase, World, forbid_illegal_moves, passage
from runbook_desk import Estate

from asoe.desk import resolution
from asoe.desk.connector import Connectors
from asoe.desk.context import Desk
from asoe.queue import Queue


@pytest.fixture
async def world(database, dsns, acme, monkeypatch):
    """Acme's desk over the real database; the knowledge base holds `world.passages`."""
    passages = [passage("export-data"), passage("export-csv", 0.8), passage("share-export", 0.7), passage("print", 0.6)]

    async def search(connection, org_id, *, question, embedding, language, limit, **more):
        assert question.strip()
        assert embedding.shape == (384,)
        return passages[:limit]

    monkeypatch.setattr(resolution.knowledge, "search", search)
    owner = await asyncpg.connect(dsns.owner)
    await owner.execute("set role asoe_owner")
    await forbid_illegal_moves(owner)
    clock, ai = Clock(), Judgement()
    watched = WatchedDatabase(database.app, database.system)
    yield World(Desk(watched, Queue(), ai, clock), acme, clock, ai, owner, passages)
    await owner.close()


@pytest.fixture
async def estate(world):
    made = Estate({"kim@example.org": {"status": "locked", "fraud": False}})
    world.desk = replace(world.desk, connectors=Connectors.fixed({"estate": made}))
    return made
