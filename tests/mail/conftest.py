"""The desk with a foreseeable judgement, a clock tests move, and connectors whose secrets are sealed."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dovecot import Imap, open_imap
from mail_cast import Post, Receiver, open_post, open_receiver
from tests.flow.flow_cast import Clock, PlainJudgement

from asoe.app import open_connectors
from asoe.desk.context import Desk, Thresholds
from asoe.queue import Queue
from asoe.secret_key import open_secret_key
from asoe.store.db import Database

if TYPE_CHECKING:
    from tests.conftest import Org


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def desk(database: Database, tmp_path: Path, clock: Clock, acme: Org) -> AsyncIterator[Desk]:
    async with database.app.acquire() as connection:
        secret_key = await open_secret_key(tmp_path, connection)
    thresholds = Thresholds(triage_budget=timedelta(seconds=5))
    made = Desk(database, Queue(), PlainJudgement(), clock, thresholds, public_url="https://desk.acme.example")
    connectors = open_connectors(database, secret_key, made.engine_of)
    yield replace(made, connectors=connectors, derive=secret_key.derive_all)
    await connectors.close()


@pytest.fixture(scope="session")
async def imap() -> AsyncIterator[Imap]:
    """The IMAP server of this session; every test has users of its own."""
    with tempfile.TemporaryDirectory(prefix="asoe-imap-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        async with open_imap(Path(folder)) as opened:
            yield opened


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with open_post() as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as opened:
        yield opened
