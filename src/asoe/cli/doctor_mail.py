"""What `asoe doctor` says of mailboxes and deliveries: whether each server lets us in, and what was given up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from asoe.cli.door import how_many
from asoe.config import Settings
from asoe.domain.errors import AsoeError

Line = tuple[Literal["ok", "warn", "fail"], str, str]
"""Verdict, detail, remedy."""


async def mail_lines(owner: Any, settings: Settings) -> list[Line]:
    """One line for each server that does not let us in; nothing is sent and nothing fetched."""
    from asoe.desk.connector import PURPOSE
    from asoe.secret_key import FILE, read_secret_key
    from asoe.store import installation

    path = settings.data_dir / FILE
    boxes = await installation.mailboxes(owner)
    keys = read_secret_key(path).derive_all(PURPOSE) if boxes and path.exists() else ()
    lines: list[Line] = []
    for box in boxes:
        try:
            lines += await _servers(box, keys)
        except AsoeError as error:
            lines.append(("fail", f"{box.slug}: {error.message}", "Set the mailbox again: asoe mailbox set"))
        if box.fetch_trouble:
            lines.append(("warn", f"{box.slug}: {box.fetch_trouble}", "See the line itself; the worker tries again."))
    dead = await installation.dead_deliveries(owner)
    lines += [
        ("warn", f"{slug}: {count} deliveries were given up", "asoe delivery list --status dead, then replay")
        for slug, count in dead
    ]
    return lines or ([("ok", f"{how_many(len(boxes), 'mailbox')}, nothing was given up", "")])


async def _servers(box: Any, keys: Sequence[bytes]) -> list[Line]:
    from asoe.connectors import imap, mail
    from asoe.connectors.mail import MailServer
    from asoe.desk.connector import sealed_with

    config: dict[str, Any] = json.loads(box.config)
    passwords = sealed_with(keys, box.org_id, "mailbox/", box.sealed)
    lines: list[Line] = []
    for name in ("smtp", "imap"):
        if name not in config:
            continue
        server = MailServer(**config[name], allow_private=box.allow_private)
        password = passwords.get(name, "")
        found = (
            await mail.check(server, password, sender=box.address)
            if name == "smtp"
            else await imap.check(server, password)
        )
        if not found.is_up:
            lines.append(("fail", f"{box.slug}: {found.detail}", "Correct it with asoe mailbox set."))
    return lines
