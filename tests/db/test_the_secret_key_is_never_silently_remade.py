"""The secret key is made once, for its owner's eyes only; a lost or foreign file is an error that names the remedy."""

from __future__ import annotations

import asyncio
import stat

import asyncpg
import pytest

from asoe import secret_key
from asoe.domain.errors import Unavailable
from asoe.secret_key import open_secret_key, rotate_secret_key
from asoe.store import secret_key as store


@pytest.fixture
async def connection(dsns):
    opened = await asyncpg.connect(dsns.app)
    yield opened
    await opened.close()


async def refused(folder, connection, code):
    with pytest.raises(Unavailable) as caught:
        await open_secret_key(folder, connection)
    assert (caught.value.code, caught.value.permanent) == (code, True)
    return caught.value.message


async def test_the_first_start_makes_it_and_later_ones_read_it(tmp_path, connection):
    made = await open_secret_key(tmp_path / "data", connection)
    path = tmp_path / "data" / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert await open_secret_key(tmp_path / "data", connection) == made
    assert await store.remembered(connection) == made.fingerprint
    assert [one.name for one in path.parent.iterdir()] == ["secret.key"]
    assert made.keys[0].hex() not in repr(made)
    assert repr(made.keys[0]) not in repr(made)


async def test_many_processes_that_start_at_once_agree(tmp_path, dsns):
    async def start():
        connection = await asyncpg.connect(dsns.app)
        try:
            return await open_secret_key(tmp_path, connection)
        finally:
            await connection.close()

    assert len(set(await asyncio.gather(*(start() for _ in range(8))))) == 1


async def test_a_lost_file_is_an_error_and_nothing_is_made(tmp_path, connection, dsns):
    await open_secret_key(tmp_path, connection)
    (tmp_path / "secret.key").unlink()
    assert "backup" in await refused(tmp_path, connection, "secret_key_lost")
    assert not (tmp_path / "secret.key").exists()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await store.forget(connection)
    owner = await asyncpg.connect(dsns.owner)
    await store.forget(owner)
    await owner.close()
    assert await open_secret_key(tmp_path, connection)


async def test_another_machines_file_is_refused(tmp_path, connection):
    ours = await open_secret_key(tmp_path / "a", connection)
    content = (tmp_path / "a" / "secret.key").read_text()
    await refused(tmp_path / "b", connection, "secret_key_lost")
    (tmp_path / "b").mkdir()
    secret_key._make(tmp_path / "b" / "secret.key")
    assert ours.fingerprint in await refused(tmp_path / "b", connection, "secret_key_differs")
    (tmp_path / "b" / "secret.key").write_text(content)
    assert await open_secret_key(tmp_path / "b", connection) == ours


async def test_a_rotated_key_signs_anew_and_verifies_what_was(tmp_path, connection):
    first = await open_secret_key(tmp_path, connection)
    old = first.sign("cursor", b"message")
    rotated = await rotate_secret_key(tmp_path, connection)
    assert rotated.fingerprint != first.fingerprint
    assert rotated.sign("cursor", b"message") != old
    assert rotated.verify("cursor", b"message", old)
    assert rotated.derive_all("seal")[1] == first.derive("seal")
    assert not first.verify("cursor", b"message", rotated.sign("cursor", b"message"))
    for purpose, message, signature in (
        ("sign-in", b"message", old),
        ("cursor", b"other", old),
        ("cursor", b"message", "é"),
    ):
        assert not rotated.verify(purpose, message, signature)
    assert await open_secret_key(tmp_path, connection) == rotated
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600


async def test_a_rotation_that_died_half_way_is_finished_and_an_old_file_is_refused(tmp_path, connection, monkeypatch):
    first = await open_secret_key(tmp_path, connection)
    content = (tmp_path / "secret.key").read_text()

    async def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        claim = store.claim
        calls = []

        async def claim_once(*given):
            calls.append(1)
            return await (claim(*given) if len(calls) == 1 else die())

        patched.setattr(store, "claim", claim_once)
        with pytest.raises(KeyboardInterrupt):
            await rotate_secret_key(tmp_path, connection)
    assert await store.remembered(connection) == first.fingerprint
    rotated = await open_secret_key(tmp_path, connection)
    assert rotated.keys[1:] == first.keys
    assert await store.remembered(connection) == rotated.fingerprint
    (tmp_path / "secret.key").write_text(content)
    await refused(tmp_path, connection, "secret_key_differs")


async def test_an_exposed_damaged_or_linked_file_is_refused(tmp_path, connection):
    await open_secret_key(tmp_path, connection)
    path = tmp_path / "secret.key"
    path.chmod(0o640)
    assert "chmod 600" in await refused(tmp_path, connection, "secret_key_exposed")
    path.chmod(0o600)
    content = path.read_text()
    for damaged in ("", "# nothing\n", "not base64!\n", "c2hvcnQ=\n", "é\n"):
        path.write_text(damaged)
        await refused(tmp_path, connection, "secret_key_damaged")
    path.unlink()
    (tmp_path / "elsewhere").write_text(content)
    path.symlink_to(tmp_path / "elsewhere")
    await refused(tmp_path, connection, "secret_key_unreadable")
