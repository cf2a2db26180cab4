"""Servers of this machine that stand for outside systems."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from connector_cast import Stub, stub


@pytest.fixture
async def system() -> AsyncIterator[Stub]:
    async with stub() as made:
        yield made


@pytest.fixture
async def other() -> AsyncIterator[Stub]:
    async with stub() as made:
        yield made
