"""What `asoe doctor` says of the audit trail: whether its newest blocks are proved, and whether sealing keeps up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from asoe.config import Settings

NEWEST: Final = 20
"""Blocks looked at; `asoe audit verify` looks at all."""

_LATE: Final = timedelta(minutes=10)
Line = tuple[Literal["ok", "warn", "fail"], str, str]
"""Verdict, detail, remedy."""


async def audit_lines(owner: Any, settings: Settings, urls: Mapping[str, str]) -> list[Line]:
    """One line for each organization whose trail breaks or is behind."""
    from asoe.desk.audit import PURPOSE, prove
    from asoe.secret_key import FILE, read_secret_key
    from asoe.store import audit, installation

    path = settings.data_dir / FILE
    listed = await installation.all_organizations(urls["owner"])
    keys = read_secret_key(path).derive_all(PURPOSE) if path.exists() else ()
    lines: list[Line] = []
    for org in listed:
        async with owner.transaction(isolation="repeatable_read", readonly=True):
            now = await audit.standing(owner, org.org_id)
            found = await prove(owner, org.org_id, keys, newest=NEWEST) if keys else None
        if found is not None and found.broken is not None:
            lines.append(
                ("fail", f"{org.slug}: {found.broken}", "Prove all: asoe audit verify; docs/audit.md says what then.")
            )
        if now.oldest_unsealed is not None and datetime.now(UTC) - now.oldest_unsealed > _LATE:
            since = f"since {now.oldest_unsealed:%Y-%m-%d %H:%M} UTC"
            lines.append(
                ("warn", f"{org.slug}: {now.unsealed} facts wait to be sealed {since}", "Does a worker run? asoe work")
            )
    return lines or [("ok", f"the newest blocks of {len(listed)} organizations are proved", "")]
