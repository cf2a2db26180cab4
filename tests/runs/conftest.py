from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest
from runs_cast import Estate, Jobs, MortalDatabase, World

from asoe.desk.connector import Connectors
from asoe.desk.context import Desk


@pytest.fixture
async def world(database, dsns, acme, tmp_path):
    """Acme's desk over the real database, and the estate it mends."""
    MortalDatabase.dies, MortalDatabase.count = None, 0
    owner = await asyncpg.connect(dsns.owner)
    await owner.execute("set role asoe_owner")
    estate, jobs = Estate(tmp_path / "estate.sqlite"), Jobs()
    desk = Desk(
        MortalDatabase(database.app, database.system),
        jobs,
        None,
        lambda: datetime.now(UTC),
        connectors=Connectors.fixed({"estate": estate}),
    )
    yield World(replace(desk), acme, estate, owner, jobs)
    MortalDatabase.dies = None
    estate.db.close()
    await owner.close()
