"""The estate in memory, its API called in process, its administration beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.types import ASGIApp

from asoe.demo.estate.seed import seed
from asoe.demo.estate.service import build_app
from asoe.demo.estate.store import Store, open_store


@pytest.fixture(scope="session")
def seeded() -> Iterator[Store]:
    store = open_store()
    seed(store, 1)
    yield store
    store.close()


@pytest.fixture(scope="session")
def shared() -> Iterator[tuple[Store, ASGIApp]]:
    """One store and its service for all tests: to build the service takes longer than most of them."""
    store = open_store()
    yield store, build_app(store)
    store.close()


@pytest.fixture
def store(seeded: Store, shared: tuple[Store, ASGIApp]) -> Store:
    """The estate as it was seeded."""
    seeded.connection.backup(shared[0].connection)
    return shared[0]


@pytest.fixture
def served(shared: tuple[Store, ASGIApp]) -> ASGIApp:
    return shared[1]


@pytest.fixture
async def operator(served: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(served, "estate-operator") as client:
        yield client


@pytest.fixture
async def reader(served: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(served, "estate-reader") as client:
        yield client


@pytest.fixture
async def admin(served: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(served, "estate-admin") as client:
        yield client


def _client(app: ASGIApp, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://estate.test", headers={"Authorization": f"Bearer {token}"}
    )
