"""Fetches mails over IMAP: what is new since last time, each once, nothing deleted. The standard library's client, in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from asoe.connectors.contract import ConnectorError, Health
from asoe.connectors.mail import TIMEOUT, MailServer, connected
from asoe.connectors.places import tls_context

MOST_AT_ONCE: Final = 20
_Value = TypeVar("_Value")
_SIZE: Final = re.compile(rb"RFC822\.SIZE (\d+)")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A mail of the inbox; `raw` is None for one that is larger than what is taken."""

    uid: int
    raw: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Inbox:
    """What was new. When `validity` is another than last time, the server has numbered its mails anew."""

    validity: int
    mails: Sequence[Fetched]


async def fetch(
    server: MailServer, password: str, *, validity: int | None, after: int, largest: int, most: int = MOST_AT_ONCE
) -> Inbox:
    """The next mails behind the number `after`, oldest first; raises `ConnectorError`."""
    opened = await connected(server)
    return await _in_thread(
        server, lambda: _fetch(opened, server, password, validity=validity, after=after, largest=largest, most=most)
    )


async def check(server: MailServer, password: str) -> Health:
    """Whether the server answers and lets us in; nothing is fetched."""
    try:
        opened = await connected(server)
        await _in_thread(server, lambda: _look(opened, server, password))
    except ConnectorError as error:
        return Health(is_up=False, detail=error.message)
    return Health(is_up=True, detail=f"IMAP: {server.host} lets us in.")


class _Client(imaplib.IMAP4):
    """Over a connection that is there already, to an address that was checked."""

    def __init__(self, opened: socket.socket, server: MailServer) -> None:
        opened.setblocking(True)
        opened.settimeout(TIMEOUT)
        self._opened = opened
        if server.tls == "tls":
            self._opened = tls_context(None).wrap_socket(opened, server_hostname=server.host)
        super().__init__(server.host, server.port, timeout=TIMEOUT)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        del timeout
        return self._opened


def _look(opened: socket.socket, server: MailServer, password: str) -> None:
    with _entered(opened, server, password):
        return


def _fetch(
    opened: socket.socket,
    server: MailServer,
    password: str,
    *,
    validity: int | None,
    after: int,
    largest: int,
    most: int,
) -> Inbox:
    with _entered(opened, server, password) as client:
        told = client.response("UIDVALIDITY")[1]
        now = int(told[0]) if told and told[0] else 0
        begin = after + 1 if now == validity else 1
        _, found = client.uid("SEARCH", "UID", f"{begin}:*")
        uids = sorted(uid for uid in map(int, (found[0] or b"").split()) if uid >= begin)[:most]
        mails = [Fetched(uid, _read(client, uid, largest)) for uid in uids]
        return Inbox(now, mails)


def _read(client: imaplib.IMAP4, uid: int, largest: int) -> bytes | None:
    _, told = client.uid("FETCH", str(uid), "(RFC822.SIZE)")
    size = next((_SIZE.search(each) for each in told if isinstance(each, bytes)), None)
    if size is None or int(size[1]) > largest:
        return None
    _, parts = client.uid("FETCH", str(uid), "(BODY.PEEK[])")
    return next((bytes(part[1]) for part in parts if isinstance(part, tuple)), None)


@contextlib.contextmanager
def _entered(opened: socket.socket, server: MailServer, password: str) -> Iterator[imaplib.IMAP4]:
    client: imaplib.IMAP4 | None = None
    try:
        client = _Client(opened, server)
        if server.tls == "starttls":
            client.starttls(tls_context(None))
        client.login(server.user, password)
        client.select("INBOX", readonly=True)
        yield client
    finally:
        if client is not None:
            with contextlib.suppress(imaplib.IMAP4.error, OSError):
                client.logout()
        opened.close()


async def _in_thread(server: MailServer, work: Callable[[], _Value]) -> _Value:
    try:
        return await asyncio.to_thread(work)
    except imaplib.IMAP4.abort:
        raise ConnectorError(f"{server.host} broke off.", permanent=False) from None
    except imaplib.IMAP4.error:
        raise ConnectorError(f"{server.host} refuses our user or password.", permanent=False) from None
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ConnectorError(f"{server.host} broke off ({type(error).__name__}).", permanent=False) from None
