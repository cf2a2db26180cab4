"""A real SMTP server, a real HTTP receiver that checks signatures, and the desk that talks to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP
from standardwebhooks import Webhook

from asoe.desk import delivery, mailbox, notification
from asoe.desk.context import Desk
from cast import Org


@dataclass
class Post:
    """What an SMTP server took; `says` is what it answers to the next recipients."""

    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    says: str = "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if self.says.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.says

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content, policy=policy.default)
        message["X-Recipients"] = ", ".join(envelope.rcpt_tos)
        self.taken.append(message)
        return "250 taken"

    def to(self, address: str) -> list[EmailMessage]:
        return [message for message in self.taken if message["X-Recipients"] == address]


@contextlib.asynccontextmanager
async def open_post() -> AsyncIterator[Post]:
    post = Post()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(post, hostname="mail.test", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    post.port = server.sockets[0].getsockname()[1]
    yield post
    server.close()
    await server.wait_closed()


@dataclass
class Receiver:
    """An HTTP server that keeps what it was sent, and answers with `status`."""

    url: str = ""
    status: int = 200
    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
            self.seen.append((headers, await reader.readexactly(int(headers.get("content-length", 0)))))
            writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    def verified(self, secret: str, at: int = -1) -> Any:
        """What the library's own verifier makes of it."""
        headers, body = self.seen[at]
        return Webhook(secret).verify(body, headers)


@contextlib.asynccontextmanager
async def open_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    yield receiver
    server.close()
    await server.wait_closed()


async def use_post(
    desk: Desk, org: Org, post: Post, *, servers: Any = None, passwords: Any = None, **more: Any
) -> None:
    """Acme's mailbox sends through this server."""
    smtp = {"host": "127.0.0.1", "port": post.port, "tls": "none"}
    await mailbox.set_mailbox(
        desk,
        org.owner,
        address=f"support@{org.slug}.example",
        name="Acme Support",
        servers={"smtp": smtp, **(servers or {})},
        passwords=passwords or {},
        **more,
        allow_private=True,
        may_be_private=True,
    )


async def tell(desk: Desk) -> None:
    """Make the notifications of what happened and try every delivery that is due, as the worker does."""
    await notification.spread(desk)
    await try_due(desk)


async def try_due(desk: Desk) -> None:
    async with desk.database.app.acquire() as connection:
        rows = await connection.fetch("delete from queue.pgqueuer where entrypoint = 'deliver' returning payload")
    from asoe.queue.jobs import decode_ids

    for row in rows:
        ids = decode_ids(row["payload"])
        await delivery.deliver(desk, ids["org_id"], ids["delivery_id"])
