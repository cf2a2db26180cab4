"""Moving a ticket: the shortest legal way from one status to another, written move by move (design §3.4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import cache
from typing import Any

from asoe.domain.ticket import MOVES, Ticket, check_move
from asoe.store import tickets
from asoe.store.db import Connection


@cache
def path_to(current: str, wanted: str) -> tuple[str, ...]:
    """The statuses between `current` and `wanted`, `wanted` last; () when the ticket is there already."""
    ways: deque[tuple[str, tuple[str, ...]]] = deque([(current, ())])
    seen = {current}
    while ways:
        at, path = ways.popleft()
        if at == wanted:
            return path
        for following in sorted(MOVES[at] - seen):
            seen.add(following)
            ways.append((following, (*path, following)))
    raise ValueError(f"no way from {current!r} to {wanted!r}")


async def walk(connection: Connection, ticket: Ticket, path: tuple[str, ...], changes: Mapping[str, Any]) -> Ticket:
    """Write `changes` with the last status of `path`, after each status before it; raises `Conflict(illegal_move)`."""
    for status in path[:-1]:
        check_move(ticket.status, status)
        ticket = await tickets.update(connection, ticket, {"status": status})
    if path:
        check_move(ticket.status, path[-1])
        changes = {**changes, "status": path[-1]}
    return await tickets.update(connection, ticket, changes)
