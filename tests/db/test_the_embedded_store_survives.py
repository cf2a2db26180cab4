"""The embedded PostgreSQL: several processes share one data folder, and whatever is killed, nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from asoe.domain.errors import Conflict, Unavailable
from asoe.store.embedded import EmbeddedServer, close_embedded, embedded_status, open_embedded, process, stop_abandoned
from asoe.store.embedded.account import Account, choose_account
from asoe.store.embedded.binaries import programs_for
from asoe.store.embedded.layout import Layout
from asoe.store.embedded.locks import Watch, try_lock

DEADLINE = 20.0
USER_OF_THE_STORE = """
import asyncio, json, os, signal, sys
from pathlib import Path
from asoe.store import embedded

def hear(text):
    print(text, file=sys.stderr, flush=True)
    if len(sys.argv) > 2 and text.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    server = await embedded.open_embedded(Path(sys.argv[1]), progress=hear)
    print(json.dumps([server.app_dsn, embedded.embedded_status(server.data_dir).pid]), flush=True)
    if await asyncio.to_thread(sys.stdin.readline):
        await embedded.close_embedded(server)

asyncio.run(main())
"""

# The interpreter may lie where only root can go: become the other user once all it needs is loaded.
BECOME_ANOTHER_USER = """
async def load_everything():
    await embedded.close_embedded(await embedded.open_embedded(Path(sys.argv[1]).with_name("other")))

asyncio.run(load_everything())
embedded.programs_for = lambda *_: Path({programs!r})
os.setgroups([])
os.setgid({gid})
os.setuid({uid})
asyncio.run(main())
"""


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="asoe-test-"))
    place.chmod(0o755)
    yield place / "data"
    for data in [place / "data", *place.rglob("deep/data")]:
        with contextlib.suppress(Conflict):
            await stop_abandoned(data)
    shutil.rmtree(place)


@pytest.fixture
def use(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start another process that opens the data folder and holds it until told otherwise."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, source: str = USER_OF_THE_STORE, **options: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", source, str(folder), *arguments]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, **options))  # type: ignore[call-overload]
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.communicate()


def opened(child: subprocess.Popen[str]) -> tuple[str, int]:
    assert child.stdout
    assert child.stderr
    line = child.stdout.readline()
    assert line, child.stderr.read()
    dsn, pid = json.loads(line)
    return dsn, pid


def leave(child: subprocess.Popen[str]) -> None:
    _, said = child.communicate("close\n", timeout=DEADLINE)
    assert child.returncode == 0, said


def stand_in_process(place: Path, *, kind: str, account: Account) -> subprocess.Popen[bytes]:
    """A process that has the id of the killed server: ended, alive, or ended and not yet collected."""
    child = subprocess.Popen(["sleep", "100" if kind == "reused" else "0"], cwd=place, **account.switch())
    if kind == "zombie":
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    elif kind == "dead":
        child.wait()
    return child


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def keep(server: EmbeddedServer, number: int) -> None:
    connection = await asyncpg.connect(server.superuser_dsn)
    await connection.execute("create table if not exists kept (number int)")
    await connection.execute("insert into kept values ($1)", number)
    await connection.close()


async def kept(server: EmbeddedServer) -> list[int]:
    connection = await asyncpg.connect(server.superuser_dsn)
    rows = await connection.fetch("select number from kept order by number")
    await connection.close()
    return [row["number"] for row in rows]


async def test_a_second_process_attaches_and_the_last_one_out_stops_the_server(folder, use) -> None:
    server = await open_embedded(folder)
    first = embedded_status(folder)
    other = use()
    dsn, pid = opened(other)
    assert (dsn, pid) == (server.app_dsn, first.pid)
    assert len(embedded_status(folder).holders) == 2
    await close_embedded(server)
    await close_embedded(server)
    assert embedded_status(folder).is_running
    leave(other)
    assert not embedded_status(folder).is_running
    assert embedded_status(folder).problems == ()


async def test_processes_that_start_at_the_same_moment_share_one_server(folder, use) -> None:
    children = [use() for _ in range(3)]
    seen = {opened(child) for child in children}
    assert len(seen) == 1
    for child in children:
        leave(child)
    assert not embedded_status(folder).is_running


async def test_an_acknowledged_row_outlives_a_kill_of_postgres(folder) -> None:
    server = await open_embedded(folder)
    for number in range(3):
        await keep(server, number)
        pid = embedded_status(folder).pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        again = await open_embedded(folder)
        await close_embedded(server)
        server = again
        assert await kept(server) == list(range(number + 1))
    await close_embedded(server)
    assert not embedded_status(folder).is_running


async def test_a_killed_user_does_not_count_as_a_user(folder, use) -> None:
    child = use()
    _, pid = opened(child)
    server = await open_embedded(folder)
    child.kill()
    child.wait()
    assert embedded_status(folder).pid == pid
    await close_embedded(server)
    assert not embedded_status(folder).is_running


async def test_a_server_whose_users_were_all_killed_is_used_by_the_next_one(folder, use) -> None:
    child = use()
    _, pid = opened(child)
    child.kill()
    child.wait()
    left = embedded_status(folder)
    assert left.is_running
    assert "ended without closing" in left.problems[0]
    server = await open_embedded(folder)
    assert embedded_status(folder).pid == pid
    with pytest.raises(Conflict, match=str(os.getpid())):
        await stop_abandoned(folder)
    await close_embedded(server)
    assert not embedded_status(folder).is_running
    assert not await stop_abandoned(folder)


@pytest.mark.parametrize("moment", ["Creating the database", "Starting PostgreSQL", "Preparing roles"])
async def test_a_first_start_killed_at_any_step_is_finished_by_the_next(folder, use, moment: str) -> None:
    child = use(moment)
    child.wait(DEADLINE)
    assert child.returncode == -signal.SIGKILL
    server = await open_embedded(folder)
    await keep(server, 1)
    connection = await asyncpg.connect(server.app_dsn)
    assert await connection.fetchval("select '[1,2]'::vector <-> '[1,3]'::vector") == 1
    await connection.close()
    await close_embedded(server)


async def test_files_of_an_interrupted_creation_are_replaced(folder) -> None:
    layout = Layout(root=folder)
    layout.make_root()
    layout.unfinished_cluster.mkdir()
    (layout.unfinished_cluster / "PG_VERSION").write_text("18")
    server = await open_embedded(folder)
    await close_embedded(server)
    assert not layout.unfinished_cluster.exists()
    assert not layout.first_password.exists()


@pytest.mark.parametrize("kind", ["dead", "reused", "zombie"])
async def test_a_stale_process_id_is_not_taken_for_a_server(folder, kind: str) -> None:
    server = await open_embedded(folder)
    await keep(server, 7)
    layout = Layout(root=folder)
    account = choose_account(layout)
    pid_file, lock_file = layout.cluster / "postmaster.pid", server.socket_dir / ".s.PGSQL.5432.lock"
    written = {path: path.read_text() for path in (pid_file, lock_file)}
    pid = embedded_status(folder).pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not process.is_alive(layout))
    stand_in = stand_in_process(layout.cluster, kind=kind, account=account)
    for path, text in written.items():
        path.write_text(text.replace(str(pid), str(stand_in.pid)))
        account.give(path)
    status = embedded_status(folder)
    assert not status.is_running
    assert any("restart them" in problem for problem in status.problems)

    again = await open_embedded(folder)
    assert await kept(again) == [7]
    await close_embedded(server)
    await close_embedded(again)
    assert not embedded_status(folder).is_running
    stand_in.kill()
    stand_in.wait()


async def test_a_slow_start_is_waited_for_and_told(folder, use) -> None:
    server = await open_embedded(folder)
    await close_embedded(server)
    programs = folder.parent / "programs"
    programs.mkdir()
    real = programs_for(choose_account(Layout(root=folder)), Layout(root=folder)) / "postgres"
    slow = programs / "postgres"
    slow.write_text(f'#!/bin/sh\nwhile [ ! -e {programs}/go ]; do sleep 0.1; done\nexec {real} "$@"\n')
    slow.chmod(0o755)
    source = USER_OF_THE_STORE.replace(
        "async def main", f"embedded.programs_for = lambda *_: Path({str(programs)!r})\nasync def main"
    )
    child = use(source=source)
    assert child.stderr
    heard = ""
    while "10 s so far" not in heard:
        heard = child.stderr.readline()
        assert heard
    (programs / "go").touch()
    opened(child)
    leave(child)


def test_waiting_ends_only_when_nothing_moves() -> None:
    now, moved = 0.0, 0
    watch = Watch(lambda: moved, limit=60, clock=lambda: now)
    for _ in range(100):
        now, moved = now + 59, moved + 1
        assert not watch.is_stalled()
    now += 61
    assert watch.is_stalled()


async def test_a_server_that_cannot_start_says_why(folder) -> None:
    server = await open_embedded(folder)
    await close_embedded(server)
    (folder / "cluster" / "global" / "pg_control").unlink()
    with pytest.raises(Unavailable, match=r"pg_control.*postgres\.log") as caught:
        await open_embedded(folder)
    assert caught.value.permanent
    assert not process.is_alive(Layout(root=folder))


async def test_a_removed_socket_is_made_again(folder) -> None:
    server = await open_embedded(folder)
    await keep(server, 1)
    (server.socket_dir / ".s.PGSQL.5432").unlink()
    again = await open_embedded(folder)
    assert await kept(again) == [1]
    await close_embedded(server)
    await close_embedded(again)


@pytest.mark.parametrize("name", ["d" * 180, "with spaces, 'quotes' and ümlauts"], ids=["long", "odd"])
async def test_a_data_path_may_be_long_or_odd(folder, name: str) -> None:
    data = folder.parent / name / "deep" / "data"
    server = await open_embedded(data)
    assert len(os.fsencode(server.socket_dir)) < 90
    assert server.socket_dir.stat().st_mode & 0o077 == 0
    await keep(server, 1)
    await close_embedded(server)
    again = await open_embedded(data)
    assert again.socket_dir == server.socket_dir
    assert await kept(again) == [1]
    await close_embedded(again)
    again.socket_dir.rmdir()


@pytest.mark.parametrize("trick", ["open to everyone", "a link"])
async def test_a_temporary_folder_that_someone_prepared_is_not_used(folder, trick: str) -> None:
    data = folder.parent / ("d" * 180) / "deep" / "data"
    server = await open_embedded(data)
    await close_embedded(server)
    trap = server.socket_dir
    if trick == "a link":
        trap.rmdir()
        trap.symlink_to(folder.parent)
    else:
        trap.chmod(0o777)
    again = await open_embedded(data)
    assert again.socket_dir != trap
    await close_embedded(again)
    again.socket_dir.rmdir()
    trap.unlink() if trap.is_symlink() else trap.rmdir()


async def test_an_ordinary_user_is_not_disturbed_by_files_of_others_in_the_temporary_folder(folder, use) -> None:
    temporary = folder.parent / "tmp"
    temporary.mkdir()
    (temporary / ".lockfile").touch(mode=0o600)
    (temporary / ".s.PGSQL.5432.lock").touch(mode=0o600)
    folder.mkdir(mode=0o700)
    source = USER_OF_THE_STORE
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        other = Account(uid=nobody.pw_uid, gid=nobody.pw_gid, is_other=True)
        programs = programs_for(other, Layout(root=folder.parent))
        source = source.replace(
            "asyncio.run(main())", BECOME_ANOTHER_USER.format(programs=str(programs), gid=other.gid, uid=other.uid)
        )
    child = use(source=source, env={**os.environ, "TMPDIR": str(temporary)}, cwd="/")
    opened(child)
    if os.geteuid() == 0:
        assert (folder / "cluster").stat().st_uid == nobody.pw_uid
        server = await open_embedded(folder)  # root beside the owner: what it makes belongs to the owner
        assert {path.stat().st_uid for path in folder.rglob("*")} == {nobody.pw_uid}
        await close_embedded(server)
    leave(child)
    assert not process.is_alive(Layout(root=folder))


async def test_a_folder_closed_to_others_stays_closed(folder) -> None:
    folder.parent.chmod(0o700)
    server = await open_embedded(folder)
    await keep(server, 1)
    assert folder.parent.stat().st_mode & 0o007 == 0
    stranger = pwd.getpwnam("daemon")
    if os.geteuid() == 0:
        assert not Account(uid=stranger.pw_uid, gid=stranger.pw_gid, is_other=True).can("-x", folder.parent)
    await close_embedded(server)


async def test_a_hanging_neighbor_is_named(folder, monkeypatch) -> None:
    server = await open_embedded(folder)
    await close_embedded(server)
    monkeypatch.setattr("asoe.store.embedded.locks.STALL_SECONDS", 0.2)
    layout = Layout(root=folder)
    descriptor = try_lock(layout.start_lock)
    assert descriptor is not None
    layout.start_lock.write_text("4711")
    assert embedded_status(folder).is_busy
    with pytest.raises(Unavailable, match=r"Process 4711 .* without progress") as caught:
        await open_embedded(folder)
    assert caught.value.retry_after
    os.close(descriptor)
