"""Webhooks as the Standard Webhooks specification writes them, and those that Slack and its likes take.

One call, one answer: whether and when it is tried again is the desk's to say.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx
from standardwebhooks import Webhook

from asoe.connectors.contract import ConnectorError
from asoe.connectors.outbound import Outbound
from asoe.connectors.places import rules_for

TIMEOUT: Final = 15.0
_LARGEST: Final = 16 * 1024 * 1024
"""Of an answer that nobody reads: only a head that promises more is refused."""


class GoneError(Exception):
    """The receiver says that it wants nothing more (410)."""


async def post(
    url: str, body: bytes, headers: dict[str, str], *, name: str, allow_private: bool, secrets_in_it: Sequence[str] = ()
) -> None:
    """Send once; raises `ConnectorError` for anything but a success, `GoneError` for 410. The body that comes back is not read."""
    outbound = Outbound(
        rules_for(url, allow_http=allow_private, allow_private=allow_private, largest=_LARGEST),
        name=name,
        secrets=secrets_in_it,
    )
    request = httpx.Request("POST", url, content=body, headers={"Content-Type": "application/json", **headers})
    try:
        async with outbound.stream(request, what="a webhook", timeout=TIMEOUT, may_have_effect=True) as (status, _, _):
            pass
    finally:
        await outbound.close()
    if status == httpx.codes.GONE:
        raise GoneError
    if not 200 <= status < 300:
        raise ConnectorError(f"{name} answered with {status}.", permanent=False, effect="unknown")


def signed(keys: Sequence[str], *, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers; during a change of secrets one signature for each."""
    text = body.decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(message_id, at, text) for key in keys),
    }


def new_secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(32)).decode()


def place_of(url: str, *, is_secret: bool) -> str:
    """An address as people may see it: without query, and where the path itself is a secret, without that."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "/…" if is_secret else parts.path, "…" if parts.query else "", ""))


def check_url(url: str, *, allow_private: bool) -> None:
    """Raises ValueError that says what is wrong with an address."""
    if len(url) > 2000 or not url.isascii() or not url.isprintable():
        raise ValueError("is no address: write https://host/path in at most 2,000 characters")
    if not allow_private and url.lower().startswith("http://"):
        raise ValueError("would be called without TLS: use https://; only with allow_private may it be without")
    rules_for(url, allow_http=allow_private, allow_private=allow_private)
