"""What the configurations of connectors to a system over HTTP have in common, and what the guard is to allow them."""

from __future__ import annotations

from typing import Final

from pydantic import Field, field_validator

from asoe.connectors.credentials import Auth, HeaderName, extra_hosts
from asoe.connectors.kinds import Config, Opening
from asoe.connectors.places import CONNECT_SECONDS, LARGEST, READ_SECONDS, Rules, rules_for

RESERVED_HEADERS: Final = frozenset(
    "authorization host cookie content-length content-type transfer-encoding connection accept-encoding".split()
)


class RemoteConfig(Config):
    """docs/connectors.md explains each field."""

    hosts: tuple[str, ...] = ()
    allow_http: bool = False
    ca: str | None = None
    headers: dict[HeaderName, str] = Field(default_factory=dict)
    auth: Auth | None = None
    largest_bytes: int = Field(LARGEST, ge=1, le=64 * 1024 * 1024)
    connect_seconds: float = Field(CONNECT_SECONDS, gt=0, le=60)
    read_seconds: float = Field(READ_SECONDS, gt=0, le=300)

    @field_validator("headers")
    @classmethod
    def _plain_headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if name.lower() in RESERVED_HEADERS or not (text.isascii() and text.isprintable()):
                raise ValueError(f"{name} is set by ASOE itself, or its value is not printable ASCII")
        return value


def rules_at(url: str, config: RemoteConfig, opening: Opening) -> Rules:
    """What the guard is to allow; raises ValueError for wrong addresses."""
    return rules_for(
        url,
        hosts=(*config.hosts, *extra_hosts(config.auth)),
        allow_http=config.allow_http,
        allow_private=opening.allow_private,
        largest=config.largest_bytes,
        connect_seconds=config.connect_seconds,
        read_seconds=config.read_seconds,
        ca=config.ca,
    )
