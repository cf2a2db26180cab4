"""The organization's mailbox: its address, the server that sends and the one that is fetched from. Passwords never come out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from asoe.connectors import imap, mail
from asoe.connectors.contract import Health
from asoe.desk.context import Desk, unstorable
from asoe.desk.delivery import imap_of, smtp_of
from asoe.domain.errors import Denied, FieldProblem, Invalid, Missing
from asoe.domain.facts import as_class
from asoe.domain.organization import Principal
from asoe.domain.people import clean_email
from asoe.store import facts, mailboxes
from asoe.store.mailboxes import Mailbox

SEALED_AS: Final = "mailbox/"
SERVERS: Final = ("smtp", "imap")
_TOLD: Final = ("address", "name", "config", "allow_private")
_HOST: Final = re.compile(r"[A-Za-z0-9:]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9:])?", re.ASCII)
_FIELDS: Final = {"host", "port", "tls", "user"}


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at the servers of a mailbox found, by server."""

    found: Mapping[str, Health]

    @property
    def is_up(self) -> bool:
        return all(each.is_up for each in self.found.values())


async def read_mailbox(desk: Desk, principal: Principal) -> Mailbox:
    """Raises `Missing(no_mailbox)`."""
    _require_admin(principal)
    async with desk.database.org_reading(principal) as connection:
        return _there(await mailboxes.read(connection, principal.org_id))


async def set_mailbox(
    desk: Desk,
    principal: Principal,
    *,
    address: str,
    name: str = "",
    servers: Mapping[str, Mapping[str, Any]],
    passwords: Mapping[str, str | None],
    authority: str = "",
    uses_plus: bool = False,
    allow_private: bool = False,
    may_be_private: bool = False,
) -> Mailbox:
    """Set the mailbox whole. `servers`: smtp and imap, each {host, port?, tls?, user?}; a password left out stays as it was,
    unless host, port, TLS or user changed: else whoever may change a mailbox could have it sent to himself.

    `authority`: the name by which the server that takes our mails in signs its Authentication-Results; without it no sender is
    ever verified. `uses_plus`: whether address+anything@… arrives here too.

    Raises `Invalid(bad_mailbox)` naming each wrong field, `Denied(private_not_allowed)`.
    """
    _require_admin(principal)
    if allow_private and not may_be_private:
        raise Denied(
            "This mailbox may reach private addresses, which only the operator allows: use the command line on the "
            "machine, or set ASOE_CONNECTOR_PRIVATE.",
            code="private_not_allowed",
        )
    wanted, problems = _servers(servers, allow_private=allow_private)
    problems += [
        FieldProblem(f"passwords.{each}", "is neither smtp nor imap") for each in passwords if each not in SERVERS
    ]
    problems += unstorable(name, "name")
    if authority and not _HOST.fullmatch(authority):
        problems.append(FieldProblem("authority", "is no name of a server"))
    if len(name) > 200 or not name.isprintable():
        problems.append(FieldProblem("name", "must be at most 200 printable characters"))
    if not address.isascii():
        problems.append(FieldProblem("address", "must be ASCII: not every server takes others"))
    if problems:
        raise _refused(problems)
    async with desk.database.org_transaction(principal) as connection:
        before = await mailboxes.read(connection, principal.org_id)
        kept = desk.connectors.unseal(principal.org_id, SEALED_AS, before.sealed) if before else {}
        secrets: dict[str, str] = {}
        for each, server in wanted.items():
            is_same = before is not None and before.config.get(each) == server
            given = passwords.get(each, kept.get(each) if is_same else None)
            if given:
                secrets[each] = given
            elif server["user"]:
                problems.append(FieldProblem(f"passwords.{each}", "must be given: the server asks who we are"))
        if problems:
            raise _refused(problems)
        box = await mailboxes.write(
            connection,
            principal.org_id,
            address=clean_email(address),
            name=name.strip(),
            config={
                **wanted,
                **({"authority": authority} if authority else {}),
                **({"plus": True} if uses_plus else {}),
            },
            sealed=desk.connectors.seal(principal.org_id, SEALED_AS, secrets),
            allow_private=allow_private,
            by=principal.user_id,
        )
        values = {name: [as_class(getattr(each, name, None)) for each in (before, box)] for name in _TOLD}
        await facts.record(connection, principal, "mailbox.changed", servers=sorted(wanted), values=values)
    return box


async def remove_mailbox(desk: Desk, principal: Principal) -> None:
    """With its passwords; nothing is sent or fetched any more."""
    _require_admin(principal)
    async with desk.database.org_transaction(principal) as connection:
        if not await mailboxes.remove(connection, principal.org_id):
            raise _missing()
        await facts.record(connection, principal, "mailbox.removed")


async def check_mailbox(desk: Desk, principal: Principal) -> Checked:
    """Ask its servers whether they let us in; nothing is sent and nothing fetched."""
    return await examine(desk, principal, await read_mailbox(desk, principal))


async def examine(desk: Desk, principal: Principal, box: Mailbox) -> Checked:
    """`check_mailbox` for a mailbox that is at hand."""
    found: dict[str, Health] = {}
    if "smtp" in box.config:
        server, password = smtp_of(desk, principal.org_id, box)
        found["smtp"] = await mail.check(server, password, sender=box.address)
    if "imap" in box.config:
        server, password = imap_of(desk, principal.org_id, box)
        found["imap"] = await imap.check(server, password)
    return Checked(found)


def shown(box: Mailbox) -> dict[str, Any]:
    """A mailbox as people see it."""
    return {
        "address": box.address,
        "name": box.name,
        "smtp": box.config.get("smtp"),
        "imap": box.config.get("imap"),
        "authority": box.config.get("authority", ""),
        "plus_addresses": bool(box.config.get("plus")),
        "fetched_at": box.fetched_at,
        "fetch_trouble": box.fetch_trouble,
        "allow_private": box.allow_private,
        "has_passwords": box.sealed is not None,
        "updated_at": box.updated_at,
    }


def _servers(
    given: Mapping[str, Mapping[str, Any]], *, allow_private: bool
) -> tuple[dict[str, dict[str, Any]], list[FieldProblem]]:
    problems: list[FieldProblem] = []
    wanted: dict[str, dict[str, Any]] = {}
    if not given:
        problems.append(FieldProblem("smtp", "give at least one of smtp and imap"))
    for each, server in given.items():
        if each not in SERVERS:
            problems.append(FieldProblem(each, "is neither smtp nor imap"))
            continue
        tls = server.get("tls") or "tls"
        if tls not in mail.PORTS[each]:
            problems.append(FieldProblem(f"{each}.tls", "is not one of tls, starttls, none"))
            continue
        if tls == "none" and not allow_private:
            problems.append(
                FieldProblem(
                    f"{each}.tls",
                    "passwords and mails would travel in clear text: use tls or starttls; only with allow_private may it be none",
                )
            )
        port = server.get("port") or mail.PORTS[each][tls]
        host, user = server.get("host"), server.get("user") or ""
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            problems.append(FieldProblem(f"{each}.host", "is no name of a server"))
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            problems.append(FieldProblem(f"{each}.port", "must be a number from 1 to 65535"))
        if not isinstance(user, str) or len(user) > 320 or not user.isprintable():
            problems.append(FieldProblem(f"{each}.user", "must be at most 320 printable characters"))
        problems += [
            FieldProblem(f"{each}.{name}", "is no setting of a server") for name in sorted(set(server) - _FIELDS)
        ]
        wanted[each] = {"host": host, "port": port, "tls": tls, "user": user}
    return wanted, problems


def _refused(problems: Sequence[FieldProblem]) -> Invalid:
    listed = "; ".join(f"{each.field}: {each.problem}" for each in problems)
    return Invalid(f"The mailbox cannot be used: {listed}.", code="bad_mailbox", fields=tuple(problems))


def _there(box: Mailbox | None) -> Mailbox:
    if box is None:
        raise _missing()
    return box


def _missing() -> Missing:
    return Missing("The organization has no mailbox. Set one: asoe mailbox set", code="no_mailbox")


def _require_admin(principal: Principal) -> None:
    if principal.role not in {"owner", "admin"}:
        raise Denied("The mailbox is for owners and admins.", code="admin_only")
