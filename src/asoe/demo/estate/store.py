"""The estate's store: items as documents in SQLite, the effects log, idempotency keys, failures on demand, and a clock that stands still.

One connection, used from one thread; other processes may open the same file. What an operation may do is decided in `operations`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from asoe.demo.estate.models import KINDS

BEGINNING: Final = "2026-11-16T09:00:00Z"
_SCHEMA: Final = Path(__file__).with_name("schema.sql")

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Effect:
    """One accepted write; `changes` is empty when there was nothing to change."""

    id: int
    at: str
    actor: str
    operation: str
    kind: str
    item_id: str
    account_id: str
    idempotency_key: str | None
    request: dict[str, Any]
    changes: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Failure:
    id: int
    mode: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Replay:
    """What an idempotency key was used for before."""

    fingerprint: str
    status: int
    answer: dict[str, Any]
    effect_id: int


@dataclass(slots=True)
class Store:
    """An open store. Reads see the present; writes belong into `with store.transaction()`."""

    connection: sqlite3.Connection
    _changes: list[dict[str, Any]] = field(default_factory=list)

    # items

    def get(self, kind: str, item_id: str) -> Item | None:
        row = self.connection.execute("select body from items where kind = ? and id = ?", (kind, item_id)).fetchone()
        return None if row is None else json.loads(row[0])

    def need(self, kind: str, item_id: str) -> Item:
        """The item, which must exist (KeyError otherwise)."""
        found = self.get(kind, item_id)
        if found is None:
            raise KeyError(f"no {kind} {item_id}")
        return found

    def find(self, kind: str, *, account_id: str | None = None, **equals: Any) -> list[Item]:
        """The kind's items in the order of their ids, those of an account, those with equal fields."""
        if account_id is None:
            rows = self.connection.execute("select body from items where kind = ? order by id", (kind,))
        else:
            rows = self.connection.execute(
                "select body from items where kind = ? and account_id = ? order by id", (kind, account_id)
            )
        items = (json.loads(row[0]) for row in rows)
        return [item for item in items if all(item.get(name) == value for name, value in equals.items())]

    def find_by_email(self, kind: str, email: str) -> list[Item]:
        rows = self.connection.execute(
            "select body from items where kind = ? and email = ? order by id", (kind, email.lower())
        )
        return [json.loads(row[0]) for row in rows]

    def put(self, kind: str, item: Item, *, beats: int = 0) -> Item:
        """Write a whole item, new or not; refuses what is not of the kind's shape."""
        KINDS[kind].stored.model_validate(item)
        before = self.get(kind, item["id"])
        self.connection.execute(
            "insert into items (kind, id, account_id, email, beats, body) values (?, ?, ?, ?, ?, ?)"
            " on conflict (kind, id) do update set"
            " account_id = excluded.account_id, email = excluded.email, beats = excluded.beats, body = excluded.body",
            (kind, item["id"], item.get("account_id", item["id"]), _email(item), beats, json.dumps(item)),
        )
        if before != item:
            self._changes.append({"kind": kind, "id": item["id"], "before": before, "after": item})
        return item

    def change(self, kind: str, item_id: str, *, beats: int | None = None, **fields: Any) -> Item:
        """Set fields of an item; `beats` starts background work on it."""
        before = self.need(kind, item_id)
        return self.put(kind, {**before, **fields}, beats=self.beats(kind, item_id) if beats is None else beats)

    def remove(self, kind: str, item_id: str) -> None:
        before = self.need(kind, item_id)
        self.connection.execute("delete from items where kind = ? and id = ?", (kind, item_id))
        self._changes.append({"kind": kind, "id": item_id, "before": before, "after": None})

    def beats(self, kind: str, item_id: str) -> int:
        row = self.connection.execute("select beats from items where kind = ? and id = ?", (kind, item_id)).fetchone()
        return 0 if row is None else int(row[0])

    def moving(self, *, account_id: str | None = None) -> list[tuple[str, str]]:
        """(kind, id) of every item under background work."""
        rows = self.connection.execute(
            "select kind, id from items where beats > 0 and (? is null or account_id = ?)", (account_id, account_id)
        )
        return [(row[0], row[1]) for row in rows]

    def new_id(self, prefix: str) -> str:
        row = self.connection.execute(
            "update estate set next_number = next_number + 1 returning next_number - 1"
        ).fetchone()
        return f"{prefix}_{row[0]}"

    def seed_number(self) -> int:
        """Which customers these are."""
        return int(self.connection.execute("select seed from estate").fetchone()[0])

    # the clock

    def now(self) -> datetime:
        row = self.connection.execute("select now from estate").fetchone()
        return datetime.fromisoformat(row[0])

    def stamp(self, *, days: float = 0) -> str:
        """The estate's time, moved by days, as RFC 3339."""
        return (self.now() + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def move_clock(self, seconds: float) -> str:
        moved = (self.now() + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.connection.execute("update estate set now = ?", (moved,))
        return moved

    # the effects log and idempotency keys

    def take_changes(self) -> list[dict[str, Any]]:
        """What was written since the last call."""
        taken, self._changes = self._changes, []
        return taken

    def log_effect(
        self,
        *,
        actor: str,
        operation: str,
        kind: str,
        item_id: str,
        account_id: str,
        key: str | None,
        request: dict[str, Any],
    ) -> int:
        """Log an accepted write with everything it changed; returns the effect's number."""
        cursor = self.connection.execute(
            "insert into effects (at, actor, operation, kind, item_id, account_id, idempotency_key, request, changes)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self.stamp(),
                actor,
                operation,
                kind,
                item_id,
                account_id,
                key,
                json.dumps(request),
                json.dumps(self.take_changes()),
            ),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def effects(self, *, account_id: str | None = None, key: str | None = None, after: int = 0) -> list[Effect]:
        rows = self.connection.execute(
            "select id, at, actor, operation, kind, item_id, account_id, idempotency_key, request, changes from effects"
            " where id > ? and (? is null or account_id = ?) and (? is null or idempotency_key = ?) order by id",
            (after, account_id, account_id, key, key),
        )
        return [
            Effect(
                id=row[0],
                at=row[1],
                actor=row[2],
                operation=row[3],
                kind=row[4],
                item_id=row[5],
                account_id=row[6],
                idempotency_key=row[7],
                request=json.loads(row[8]),
                changes=tuple(json.loads(row[9])),
            )
            for row in rows
        ]

    def recall(self, actor: str, key: str) -> Replay | None:
        row = self.connection.execute(
            "select fingerprint, status, answer, effect_id from idempotency where actor = ? and key = ?", (actor, key)
        ).fetchone()
        return None if row is None else Replay(row[0], row[1], json.loads(row[2]), row[3])

    def remember(self, actor: str, key: str, replay: Replay) -> None:
        self.connection.execute(
            "insert into idempotency (actor, key, fingerprint, status, answer, effect_id) values (?, ?, ?, ?, ?, ?)",
            (actor, key, replay.fingerprint, replay.status, json.dumps(replay.answer), replay.effect_id),
        )

    # failures on demand

    def plan_failure(self, *, method: str, path: str, mode: str, calls: int, seconds: float) -> int:
        cursor = self.connection.execute(
            "insert into failures (method, path, mode, calls_left, seconds) values (?, ?, ?, ?, ?)",
            (method.upper(), path, mode, calls, seconds),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def take_failure(self, method: str, path: str) -> Failure | None:
        """The failure planned for this call, used up by one; paths may end in `*`."""
        for row in self.connection.execute(
            "select id, method, path, mode, seconds from failures where calls_left > 0 order by id"
        ).fetchall():
            wanted = path.startswith(row[2][:-1]) if row[2].endswith("*") else path == row[2]
            if wanted and row[1] in {"*", method}:
                self.connection.execute("update failures set calls_left = calls_left - 1 where id = ?", (row[0],))
                return Failure(row[0], row[3], row[4])
        return None

    def forget_failures(self) -> None:
        self.connection.execute("delete from failures")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; what was changed before but never logged is no effect."""
        self._changes = []
        self.connection.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.connection.execute("rollback")
            raise
        else:
            self.connection.execute("commit")
        finally:
            self._changes = []

    def close(self) -> None:
        self.connection.close()


def open_store(path: Path | str | None = None) -> Store:
    """Open a store file, or one in memory; an empty one has no customers until it is seeded."""
    connection = sqlite3.connect(
        ":memory:" if path is None else str(path), isolation_level=None, check_same_thread=False, timeout=5
    )
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")
    connection.execute("pragma foreign_keys = on")
    connection.executescript(_SCHEMA.read_text(encoding="utf-8"))
    connection.execute("insert or ignore into estate values (1, 0, ?, 100000)", (BEGINNING,))
    return Store(connection)


def _email(item: Item) -> str | None:
    email = item.get("email")
    return email.lower() if isinstance(email, str) else None
