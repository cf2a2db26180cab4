"""As which operating-system account PostgreSQL runs, and how that account reaches its files.

PostgreSQL refuses to run as root. Started by root it runs as the owner of the data folder, or, when that is root too,
as the system account `asoe`, made on first use. What the server does is decided elsewhere.
"""

from __future__ import annotations

import os
import pwd
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from asoe.domain.errors import Unavailable
from asoe.store.embedded.layout import Layout

SYSTEM_ACCOUNT = "asoe"
_ACL = "system.posix_acl_access"
# acl(5): entry tags, in the order an ACL must list them
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_ENTER = 0o1


class Switch(TypedDict, total=False):
    """Arguments of subprocess.run that become the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """`is_other`: we are root and become this account for everything PostgreSQL does."""

    uid: int
    gid: int
    is_other: bool

    def switch(self) -> Switch:
        return Switch(user=self.uid, group=self.gid, extra_groups=[]) if self.is_other else Switch()

    def give(self, path: Path) -> None:
        if self.is_other:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can(self, test: str, path: Path) -> bool:
        """Whether the account passes `test` (of test(1), such as -x) on `path`."""
        command = ["/bin/sh", "-c", 'test "$1" "$2"', "sh", test, str(path)]
        return subprocess.run(command, cwd="/", check=False, **self.switch()).returncode == 0


def choose_account(layout: Layout) -> Account:
    """The owner of the cluster; for a new one ourselves, or as root the owner of the folder or the system account."""
    me = os.geteuid()
    owner = layout.root.stat()
    if layout.cluster.exists():
        owner = layout.cluster.stat()
    if me != 0:
        if owner.st_uid != me and (layout.cluster.exists() or not os.access(layout.root, os.W_OK)):
            keeper = _name(layout.root.stat().st_uid)
            advice = (
                f"Run it as {keeper}"
                if keeper != _name(me)
                else f"Give it back (as root: chown -R {keeper} {layout.root})"
            )
            raise Unavailable(
                f"The data folder {layout.root} belongs to {keeper}, its PostgreSQL to {_name(owner.st_uid)}, and this "
                f"process runs as {_name(me)}. {advice}, or choose another data folder.",
                code="embedded_not_permitted",
                permanent=True,
            )
        return Account(uid=me, gid=os.getegid(), is_other=False)
    if owner.st_uid != 0 and (layout.cluster.exists() or _is_named(owner.st_uid)):
        return Account(uid=owner.st_uid, gid=owner.st_gid, is_other=True)
    entry = _system_account()
    return Account(uid=entry.pw_uid, gid=entry.pw_gid, is_other=True)


def open_the_way(account: Account, folder: Path) -> None:
    """Let the account (and no one else) pass through the folders above `folder`; it gains no right to list or read them."""
    if not account.is_other or account.can("-x", folder):
        return
    for place in reversed([folder, *folder.parents]):
        if account.can("-x", place):
            continue
        try:
            _grant_entry(place, account.uid)
        except OSError as error:
            raise _closed(account, place) from error
        if not account.can("-x", place):
            raise _closed(account, place)


def _closed(account: Account, place: Path) -> Unavailable:
    return Unavailable(
        f"PostgreSQL cannot run as root, and its account {_name(account.uid)} cannot enter {place}. "
        f"Choose a data folder such as /var/lib/asoe, run as an ordinary user, or allow it: chmod o+x {place}",
        code="embedded_folder_closed",
        permanent=True,
    )


def _grant_entry(folder: Path, uid: int) -> None:
    """Add `user:uid:--x` to the folder's access control list (format: linux/posix_acl_xattr.h)."""
    try:
        raw = os.getxattr(folder, _ACL)
        entries = [struct.unpack_from("<HHI", raw, at) for at in range(4, len(raw), 8)]
    except OSError:
        mode = folder.stat().st_mode
        entries = [(_USER_OBJ, mode >> 6 & 7, _NO_ID), (_GROUP_OBJ, mode >> 3 & 7, _NO_ID), (_OTHER, mode & 7, _NO_ID)]
    found = {(tag, who): rights for tag, rights, who in entries}
    found[_USER, uid] = found.get((_USER, uid), 0) | _ENTER
    found[_MASK, _NO_ID] = found.get((_MASK, _NO_ID), found[_GROUP_OBJ, _NO_ID]) | _ENTER
    packed = b"".join(struct.pack("<HHI", tag, rights, who) for (tag, who), rights in sorted(found.items()))
    os.setxattr(folder, _ACL, struct.pack("<I", 2) + packed)


def _system_account() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", "--comment", "ASOE embedded PostgreSQL", SYSTEM_ACCOUNT]
    reason = ""
    for _ in range(50):  # another process may be adding an account: useradd then says that the file is locked
        try:
            return pwd.getpwnam(SYSTEM_ACCOUNT)
        except KeyError:
            pass
        try:
            made = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            reason = "useradd is not installed"
            break
        reason = made.stderr.strip()
        if made.returncode and "lock" not in reason and "exists" not in reason:
            break
        time.sleep(0.1)
    raise Unavailable(
        f"PostgreSQL cannot run as root, and the system account '{SYSTEM_ACCOUNT}' could not be made ({reason}). "
        f"Make it, give the data folder to an ordinary user (chown), or run as an ordinary user.",
        code="embedded_no_account",
        permanent=True,
    )


def _is_named(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _name(uid: int) -> str:
    return pwd.getpwuid(uid).pw_name if _is_named(uid) else f"user {uid}"
