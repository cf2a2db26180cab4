"""Sends a mail over SMTP: to the very address that was checked, over TLS, and says whether another try could help."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final, Literal

import aiosmtplib

from asoe.connectors.contract import ConnectorError, Health
from asoe.connectors.places import ForbiddenPlaceError, checked, tls_context

Tls = Literal["tls", "starttls", "none"]
TIMEOUT: Final = 30.0
PORTS: Final = {"smtp": {"tls": 465, "starttls": 587, "none": 25}, "imap": {"tls": 993, "starttls": 143, "none": 143}}


@dataclass(frozen=True, slots=True)
class MailServer:
    """One server of a mailbox. Without TLS only where private addresses are allowed."""

    host: str
    port: int
    tls: Tls = "tls"
    user: str = ""
    allow_private: bool = False


async def send(
    server: MailServer, password: str, message: EmailMessage, *, sender: str, recipients: Sequence[str]
) -> None:
    """Hand a message to the server; raises `ConnectorError`, permanent when this message will never be taken.

    It was taken when this returns: the server has said 250.
    """
    client = await _opened(server, sender)
    try:
        await _greeted(client, server, password)
        await client.send_message(message, sender=sender, recipients=list(recipients))
    except _FAILURES as error:
        raise _failed(error, server) from None
    finally:
        await _quit(client)


async def check(server: MailServer, password: str, *, sender: str) -> Health:
    """Whether the server answers and lets us in; nothing is sent."""
    try:
        client = await _opened(server, sender)
        try:
            await _greeted(client, server, password)
        except _FAILURES as error:
            raise _failed(error, server) from None
        finally:
            await _quit(client)
    except ConnectorError as error:
        return Health(is_up=False, detail=error.message)
    return Health(is_up=True, detail=f"SMTP: {server.host} lets us in.")


async def connected(server: MailServer) -> socket.socket:
    """A connection to one of the server's addresses, all of which were checked; raises `ConnectorError`."""
    said = f"{server.host}:{server.port}"
    failed: Exception | None = None
    try:
        async with asyncio.timeout(TIMEOUT):
            for address in await checked(server.host, server.port, allow_private=server.allow_private):
                found = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
                found.setblocking(False)
                try:
                    await asyncio.get_running_loop().sock_connect(found, (address, server.port))
                except BaseException as error:
                    found.close()
                    if not isinstance(error, OSError):
                        raise
                    failed = error
                else:
                    return found
    except ForbiddenPlaceError as error:
        raise ConnectorError(f"{said} is not called: {error}.", permanent=True) from None
    except (OSError, TimeoutError) as error:
        failed = error
    raise ConnectorError(
        f"{said} cannot be reached ({type(failed).__name__}). Check host and port.", permanent=False
    ) from None


async def _opened(server: MailServer, sender: str) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=server.host,
        sock=await connected(server),
        use_tls=server.tls == "tls",
        start_tls=server.tls == "starttls",
        tls_context=tls_context(None) if server.tls != "none" else None,
        local_hostname=sender.rpartition("@")[2] or "localhost",
        timeout=TIMEOUT,
    )


async def _greeted(client: aiosmtplib.SMTP, server: MailServer, password: str) -> None:
    await client.connect()
    if server.user:
        await client.login(server.user, password)


async def _quit(client: aiosmtplib.SMTP) -> None:
    """What is taken is taken: a bad farewell changes nothing."""
    try:
        if client.is_connected:
            async with asyncio.timeout(5):
                await client.quit()
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        pass
    finally:
        client.close()


def _failed(error: Exception, server: MailServer) -> ConnectorError:
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return ConnectorError(f"{server.host} refuses our user or password.", permanent=False)
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = sorted({refused.code for refused in error.recipients})
        return ConnectorError(
            f"{server.host} refuses the recipient ({', '.join(map(str, codes))}).",
            permanent=all(500 <= code < 600 for code in codes),
        )
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return ConnectorError(
            f"{server.host} answered {error.code}.",
            permanent=500 <= error.code < 600 and not isinstance(error, aiosmtplib.SMTPConnectError),
        )
    return ConnectorError(f"{server.host} broke off ({type(error).__name__}).", permanent=False)


_FAILURES: Final = (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError)
