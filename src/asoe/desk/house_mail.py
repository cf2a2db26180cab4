"""Reads the installation's own mail server out of its settings; what is sent through it is decided elsewhere."""

from __future__ import annotations

from email.utils import parseaddr
from typing import Final
from urllib.parse import unquote, urlsplit

from asoe.connectors.mail import PORTS, MailServer, Tls
from asoe.desk.context import HouseMail
from asoe.domain.errors import FieldProblem, Invalid
from asoe.domain.people import clean_email

_SCHEMES: Final[dict[str, Tls]] = {"smtps": "tls", "smtp+starttls": "starttls", "smtp": "none"}


def read_house_mail(url: str | None, sender: str | None) -> HouseMail | None:
    """None without `url`; raises `Invalid(bad_settings)` naming the setting. The operator's server may be on a private address."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _wrong("ASOE_MAIL_URL", "is no address such as smtps://user:password@mail.example:465") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise _wrong("ASOE_MAIL_URL", f"must begin with {', '.join(f'{each}://' for each in _SCHEMES)}, then a host")
    name, address = parseaddr(sender or "")
    try:
        address = clean_email(address)
    except Invalid:
        raise _wrong("ASOE_MAIL_FROM", "must be an address, such as Support <support@example.com>") from None
    tls = _SCHEMES[parts.scheme]
    server = MailServer(
        parts.hostname, port or PORTS["smtp"][tls], tls, unquote(parts.username or ""), allow_private=True
    )
    return HouseMail(server, (name or "Support Center", address), unquote(parts.password or ""))


def _wrong(name: str, problem: str) -> Invalid:
    return Invalid(f"{name} {problem}.", code="bad_settings", fields=(FieldProblem(name, problem),))
