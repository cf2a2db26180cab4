"""Where a connector may go: its origins, which addresses are never called, and a connection to the very address that was checked."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

import certifi
import httpcore
import httpx

Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

LARGEST: Final = 1024 * 1024
CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
_MOST_ADDRESSES: Final = 4
_PORTS: Final = {"https": 443, "http": 80}
# where clouds keep the credentials of their machines, and what else nobody has a business to call
_NEVER: Final = tuple(
    ipaddress.ip_network(network)
    for network in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "192.0.0.192/32")
)
_EMBEDDING: Final = tuple(ipaddress.ip_network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96"))


@dataclass(frozen=True, slots=True)
class Rules:
    """What one connector may reach. `origins`: scheme, host and port; `ca`: PEM of a private certificate authority."""

    base_url: str
    origins: frozenset[tuple[str, str, int]]
    allow_private: bool = False
    largest: int = LARGEST
    connect_seconds: float = CONNECT_SECONDS
    read_seconds: float = READ_SECONDS
    ca: str | None = None


class ForbiddenPlaceError(Exception):
    """A connection was not made, because of where it would have led."""


def rules_for(
    base_url: str,
    *,
    hosts: Iterable[str] = (),
    allow_http: bool = False,
    allow_private: bool = False,
    largest: int = LARGEST,
    connect_seconds: float = CONNECT_SECONDS,
    read_seconds: float = READ_SECONDS,
    ca: str | None = None,
) -> Rules:
    """The rules of a connector at `base_url`; `hosts` adds origins (`host`, `host:port` or `scheme://host:port`).

    Raises ValueError that says what is wrong with an address.
    """
    origins = {origin_of(base_url)}
    for host in hosts:
        origins.add(origin_of(host if "://" in host else f"https://{host}"))
    if not allow_http and (plain := sorted(host for scheme, host, _ in origins if scheme == "http")):
        raise ValueError(f"{plain[0]} would be called without TLS: use https://, or set allow_http")
    if ca is not None:
        tls_context(ca)
    return Rules(base_url, frozenset(origins), allow_private, largest, connect_seconds, read_seconds, ca)


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port; raises ValueError for what is no http(s) address, or names a user."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        raise ValueError("is no address: write https://host or https://host:port") from None
    if parsed.scheme not in _PORTS or not parsed.host:
        raise ValueError("is no address: write https://host or https://host:port")
    if parsed.userinfo:
        raise ValueError("must hold no user and password: give them as secrets")
    return parsed.scheme, parsed.raw_host.decode("ascii").lower().rstrip("."), parsed.port or _PORTS[parsed.scheme]


def forbidden(address: str, *, allow_private: bool) -> str | None:
    """Why an address may not be called, or None. Link-local and metadata addresses never may."""
    found = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    if any(found in network for network in _NEVER if network.version == found.version):
        return "a link-local or metadata address"
    if found.is_multicast or found.is_unspecified:
        return "no address of a single machine"
    if not found.is_global and not allow_private:
        return "a private address, and this connector may not reach those (allow_private)"
    return None


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


async def checked(host: str, port: int, *, allow_private: bool, resolver: Resolve = resolve) -> list[str]:
    """The addresses of a host that may all be called; raises `ForbiddenPlaceError`.

    One forbidden address among several spoils the name: that is how a rebinding looks.
    """
    try:
        addresses = [str(ipaddress.ip_address(host.strip("[]")))]
    except ValueError:
        addresses = await resolver(host, port)
    for address in addresses:
        why = forbidden(address, allow_private=allow_private)
        if why is not None:
            raise ForbiddenPlaceError(f"{host} is {why}")
    return addresses


class Pinned(httpcore.AsyncNetworkBackend):
    """Connects to the address it has checked, so that no second look-up can lead elsewhere."""

    def __init__(self, rules: Rules, resolver: Resolve) -> None:
        self._rules = rules
        self._resolve = resolver
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        async with asyncio.timeout(timeout):
            addresses = await checked(host, port, allow_private=self._rules.allow_private, resolver=self._resolve)
        failed: Exception = httpcore.ConnectError()
        for address in addresses[:_MOST_ADDRESSES]:
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout=timeout, local_address=local_address, socket_options=socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise ForbiddenPlaceError("sockets of this machine are no outside system")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@lru_cache(maxsize=64)
def tls_context(ca: str | None) -> ssl.SSLContext:
    """The system's authorities, certifi's, and `ca`; raises ValueError when that is no certificate."""
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=certifi.where())
    if ca is not None:
        try:
            context.load_verify_locations(cadata=ca)
        except (ssl.SSLError, ValueError):
            raise ValueError("ca: is no certificate in PEM form") from None
    return context


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside of an IPv6 one, where a gateway would lead there."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inside = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if inside is not None:
        return inside
    if int(address) > 1 and any(address in network for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
