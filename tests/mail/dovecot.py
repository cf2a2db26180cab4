"""A real IMAP server (Dovecot, from Debian) with one account, in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import shutil
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "imap-pass-4711"

_CONFIG = """
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
ssl = no
disable_plaintext_auth = no
default_login_user = {login}
default_internal_user = {internal}
default_internal_group = {group}
first_valid_uid = 1
mail_location = maildir:{folder}/mail/%u
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""


@dataclass
class Imap:
    """`port` on this machine; mails are put into the inbox of a user as a mail server would."""

    port: int
    folder: Path
    owner: tuple[int, int]

    def put(self, user: str, raw: bytes) -> None:
        inbox = self.folder / "mail" / user
        for name in ("tmp", "new", "cur"):
            (inbox / name).mkdir(parents=True, exist_ok=True)
        written = inbox / "tmp" / f"{time.time_ns()}.test"
        written.write_bytes(raw)
        for path in (inbox, *inbox.iterdir(), written):
            os.chown(path, *self.owner)
        written.rename(inbox / "new" / written.name)


@contextlib.asynccontextmanager
async def open_imap(folder: Path) -> AsyncIterator[Imap]:
    program = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert program, "dovecot is not there: run scripts/system-packages"
    is_root = os.getuid() == 0
    uid, gid = (65534, 65534) if is_root else (os.getuid(), os.getgid())
    login, internal = ("dovenull", "dovecot") if is_root else (getpass.getuser(),) * 2
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("run", "state", "mail"):
        (folder / name).mkdir(parents=True)
    os.chown(folder / "mail", uid, gid)
    config = folder / "dovecot.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder,
            login=login,
            internal=internal,
            group=internal if is_root else _group(gid),
            password=PASSWORD,
            uid=uid,
            gid=gid,
            port=port,
        )
    )
    server = await asyncio.create_subprocess_exec(program, "-F", "-c", str(config))
    try:
        await _answers(port, folder)
        yield Imap(port, folder, (uid, gid))
    finally:
        server.terminate()
        await asyncio.wait_for(server.wait(), 20)


async def _answers(port: int, folder: Path) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                greeting = await reader.readline()
                writer.close()
                await writer.wait_closed()
            except OSError:
                greeting = b""
            if greeting.startswith(b"* OK"):
                return
            await asyncio.sleep(0.05)


def _group(gid: int) -> str:
    import grp

    return grp.getgrgid(gid).gr_name
