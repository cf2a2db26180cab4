"""The PostgreSQL that ASOE brings along: open a data folder, close it, say how it is.

The server is detached from every process that uses it. Whoever opens the folder first starts it, later ones attach, the last
one to close it stops it. How other PostgreSQLs are reached is config's and db.py's business.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from asoe.domain.errors import Conflict, Unavailable
from asoe.store.roles import ensure_roles

if sys.platform == "win32":
    raise Unavailable(
        "The embedded PostgreSQL needs Linux or macOS. Set ASOE_DATABASE_URL to a PostgreSQL server.",
        code="embedded_not_supported",
        permanent=True,
    )

from asoe.store.embedded import cluster, process
from asoe.store.embedded.account import Account, choose_account, open_the_way
from asoe.store.embedded.binaries import bin_folder, programs_for
from asoe.store.embedded.cluster import Durability
from asoe.store.embedded.layout import LOGIN_ROLES, SUPERUSER, Layout
from asoe.store.embedded.locks import Holder, Watch, alone, living_holders, register
from asoe.store.embedded.status import EmbeddedStatus, embedded_status

__all__ = [
    "Durability",
    "EmbeddedServer",
    "EmbeddedStatus",
    "bin_folder",
    "close_embedded",
    "embedded_status",
    "open_embedded",
    "stop_abandoned",
]

DATABASE = "asoe"
_SOCKET_PORT = 5432
_PREPARATION = "1"
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """An open data folder. `owner_dsn` signs in as the superuser and acts as asoe_owner (which has no login of its own)."""

    data_dir: Path
    socket_dir: Path
    port: int
    superuser_dsn: str = field(repr=False)
    owner_dsn: str = field(repr=False)
    app_dsn: str = field(repr=False)
    system_dsn: str = field(repr=False)
    holder: Holder = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    socket_dir: Path
    port: int
    listens: bool


async def open_embedded(
    data_dir: Path,
    *,
    listen_port: int | None = None,
    durability: Durability = "full",
    progress: Callable[[str], None] | None = None,
) -> EmbeddedServer:
    """Start the server of `data_dir` or attach to it; on first use create cluster, roles, database and extension.

    listen_port: also listen on 127.0.0.1 (never for the superuser). durability: "test" turns fsync off, only for folders
    made that way. progress: called with one sentence now and then. Raises Unavailable or Conflict with what to do.
    """
    layout = Layout(root=data_dir.expanduser().absolute().resolve())
    say = progress or _say_nothing
    try:
        layout.make_root()
        return await _open(layout, listen_port=listen_port, durability=durability, say=say)
    except OSError as error:
        raise Unavailable(
            f"The data folder {layout.root} cannot be used: {error.strerror or error} ({error.filename or 'no file'}). "
            "Check its rights and the free space, or choose another data folder.",
            code="embedded_folder_unusable",
            permanent=True,
        ) from error


async def close_embedded(server: EmbeddedServer) -> None:
    """Let go of the data folder; the last one out stops the server. Closing twice does nothing."""
    layout = Layout(root=server.data_dir)
    if server.holder.descriptor is None:
        return
    if not layout.run.is_dir():  # the folder was deleted under us: PostgreSQL notices by itself within a minute
        server.holder.release()
        return
    async with alone(layout, activity=lambda: process.activity(layout), progress=_say_nothing):
        server.holder.release()
        if not living_holders(layout):
            await process.stop(layout, progress=_say_nothing)


async def stop_abandoned(data_dir: Path) -> bool:
    """Stop a server whose users all died without closing; False when none runs. Raises Conflict while someone uses it."""
    layout = Layout(root=data_dir.expanduser().absolute().resolve())
    if not layout.run.is_dir() or not process.is_alive(layout):
        return False
    async with alone(layout, activity=lambda: process.activity(layout), progress=_say_nothing):
        if living := living_holders(layout):
            names = ", ".join(f"{holder.pid} ({holder.command})" for holder in living)
            raise Conflict(
                f"PostgreSQL in {layout.root} is in use by process {names}. End it first.", code="embedded_in_use"
            )
        await process.stop(layout, progress=_say_nothing)
    return True


async def _open(
    layout: Layout, *, listen_port: int | None, durability: Durability, say: Callable[[str], None]
) -> EmbeddedServer:
    def activity() -> object:
        return process.activity(layout)

    account = await asyncio.to_thread(choose_account, layout)
    layout.make_rest()
    async with alone(layout, activity=activity, progress=say):
        holder = register(layout)
        try:
            await _make_if_absent(layout, account, durability=durability, say=say)
            endpoint = await _run(layout, account, listen_port=listen_port, durability=durability, say=say)
            await _prepare(layout, endpoint, say=say)
            return _describe(layout, endpoint, holder)
        except BaseException as error:
            holder.release()
            is_recovering = isinstance(error, Unavailable) and error.code == "embedded_stalled"
            if not is_recovering and not living_holders(layout):
                await process.stop(layout, progress=say)
            raise


async def _make_if_absent(
    layout: Layout, account: Account, *, durability: Durability, say: Callable[[str], None]
) -> None:
    if layout.cluster.exists():
        cluster.check_version(layout)
        cluster.check_durability(layout, durability)
        return
    say(f"Creating the database in {layout.root}.")
    await asyncio.to_thread(open_the_way, account, layout.root)
    programs = await asyncio.to_thread(programs_for, account, layout)
    await asyncio.to_thread(cluster.create_cluster, layout, account, programs, durability=durability)


async def _run(
    layout: Layout,
    account: Account,
    *,
    listen_port: int | None,
    durability: Durability,
    say: Callable[[str], None],
) -> _Endpoint:
    """Attach to the living server, or start one. One found dying (a kill -9 a moment ago) or cut off is replaced."""
    for _ in range(_ATTEMPTS):
        found = _read_endpoint(layout)
        if found is not None and process.is_alive(layout):
            endpoint, is_ours = found, False
        else:
            endpoint, is_ours = await asyncio.to_thread(
                _start, layout, account, listen_port=listen_port, durability=durability, say=say
            )
        answer = await process.wait_until_it_answers(
            layout,
            _dsn(layout, endpoint, SUPERUSER, database=SUPERUSER),
            socket=endpoint.socket_dir / f".s.PGSQL.{endpoint.port}",
            watch=Watch(lambda: process.activity(layout)),
            progress=say,
        )
        if answer == "answers":
            _check_port(layout, endpoint, listen_port)
            return endpoint
        if answer == "unreachable":
            await _stop_cut_off(layout, endpoint, say=say)
        elif is_ours:
            break
    raise Unavailable(
        f"PostgreSQL did not start in {layout.root}. Its last words: {process.last_words(layout)}. The whole log: {layout.log_file}",
        code="embedded_did_not_start",
        permanent=True,
    )


def _start(
    layout: Layout,
    account: Account,
    *,
    listen_port: int | None,
    durability: Durability,
    say: Callable[[str], None],
) -> tuple[_Endpoint, bool]:
    say("Starting PostgreSQL.")
    open_the_way(account, layout.root)
    programs = programs_for(account, layout)
    before = _read_endpoint(layout)
    socket_dir = cluster.socket_folder(layout, account, before.socket_dir if before else None)
    endpoint = _Endpoint(socket_dir=socket_dir, port=listen_port or _SOCKET_PORT, listens=listen_port is not None)
    options = cluster.write_configuration(
        layout, socket_dir=socket_dir, port=endpoint.port, listens=endpoint.listens, durability=durability
    )
    text = {"socket_dir": str(socket_dir), "port": endpoint.port, "listens": endpoint.listens}
    layout.write(layout.endpoint, json.dumps(text))
    return endpoint, process.start(layout, account, programs, options, socket_dir)


async def _stop_cut_off(layout: Layout, endpoint: _Endpoint, *, say: Callable[[str], None]) -> None:
    """Somebody (a cleaner of temporary files) removed the socket of a living server: only a restart makes a new one."""
    others = [holder for holder in living_holders(layout) if holder.pid != os.getpid()]
    if others:
        names = ", ".join(f"{holder.pid} ({holder.command})" for holder in others)
        raise Unavailable(
            f"The socket of the running PostgreSQL was removed from {endpoint.socket_dir}. "
            f"Stop every asoe process of this data folder ({names}), then start again.",
            code="embedded_cut_off",
            permanent=True,
        )
    say("The socket of the running PostgreSQL was removed; restarting it.")
    await process.stop(layout, progress=say)


async def _prepare(layout: Layout, endpoint: _Endpoint, *, say: Callable[[str], None]) -> None:
    """Roles, database and extension, once per cluster; repeated when a first start was interrupted."""
    passwords = {role: cluster.make_password(layout, role) for role in LOGIN_ROLES}
    digest = hashlib.sha256(json.dumps([_PREPARATION, passwords], sort_keys=True).encode()).hexdigest()
    if layout.prepared.exists() and layout.prepared.read_text(encoding="ascii") == digest:
        return
    say("Preparing roles and database.")
    template = await process.connect(_dsn(layout, endpoint, SUPERUSER, database=SUPERUSER))
    try:
        await ensure_roles(template, passwords=passwords)
        if not await template.fetchval("select exists (select from pg_database where datname = $1)", DATABASE):
            await template.execute(f"create database {DATABASE} owner asoe_owner")
    finally:
        await template.close()
    connection = await process.connect(_dsn(layout, endpoint, SUPERUSER))
    try:
        await connection.execute("create extension if not exists vector schema public")
    finally:
        await connection.close()
    layout.write(layout.prepared, digest)


def _check_port(layout: Layout, endpoint: _Endpoint, listen_port: int | None) -> None:
    if listen_port is not None and not (endpoint.listens and endpoint.port == listen_port):
        now = f"on port {endpoint.port}" if endpoint.listens else "without a TCP port"
        raise Conflict(
            f"PostgreSQL in {layout.root} already runs {now}, started by another process. "
            f"Stop the other processes first, or do not ask for port {listen_port}.",
            code="embedded_port_differs",
        )


def _read_endpoint(layout: Layout) -> _Endpoint | None:
    try:
        text: dict[str, Any] = json.loads(layout.endpoint.read_text(encoding="utf-8"))
        return _Endpoint(socket_dir=Path(text["socket_dir"]), port=int(text["port"]), listens=bool(text["listens"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _describe(layout: Layout, endpoint: _Endpoint, holder: Holder) -> EmbeddedServer:
    superuser_dsn = _dsn(layout, endpoint, SUPERUSER)
    return EmbeddedServer(
        data_dir=layout.root,
        socket_dir=endpoint.socket_dir,
        port=endpoint.port,
        superuser_dsn=superuser_dsn,
        owner_dsn=f"{superuser_dsn}&options=-c%20role%3Dasoe_owner",
        app_dsn=_dsn(layout, endpoint, "asoe_app"),
        system_dsn=_dsn(layout, endpoint, "asoe_system"),
        holder=holder,
    )


def _dsn(layout: Layout, endpoint: _Endpoint, role: str, *, database: str = DATABASE) -> str:
    password = quote(cluster.read_password(layout, role), safe="")
    return f"postgresql://{role}:{password}@/{database}?host={quote(str(endpoint.socket_dir))}&port={endpoint.port}"


def _say_nothing(_: str) -> None:
    return None
