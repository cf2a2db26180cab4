"""Outside systems for tests: a scripted HTTP server on a raw socket, any ASGI application on a port, certificates."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from asoe.connectors.http import HttpConnector, open_http
from asoe.connectors.kinds import Opening

ORG = UUID(int=1)
SECRET = "s3cr3t-never-shown-4711"


@dataclass(frozen=True, slots=True)
class Heard:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script = Callable[[Heard, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Stub:
    """A server that does to each path what a test says, down to the bytes."""

    port: int = 0
    scheme: str = "http"
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    scripts: dict[str, list[Script]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def on(self, path: str, *scripts: Script) -> None:
        """What happens at a path, call by call; the last goes on for ever."""
        self.scripts[path] = list(scripts)

    def says(self, path: str, body: Any = None, status: int = 200, **headers: str) -> None:
        self.on(path, answer(body, status, **headers))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                request = await _read(reader)
                self.heard.append(request)
                scripts = self.scripts.get(request.path) or [answer({"detail": "nothing here"}, 404)]
                script = scripts[0] if len(scripts) == 1 else scripts.pop(0)
                await script(request, writer)
                await writer.drain()
                if writer.is_closing():
                    break
        writer.close()


def answer(body: Any = None, status: int = 200, **headers: str) -> Script:
    """A whole answer; `body` as JSON unless it is bytes."""

    async def script(_: Heard, writer: asyncio.StreamWriter) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"content-length": str(len(content)), "content-type": "application/json"}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + content)

    return script


def raw(*parts: bytes, pause: float = 0.0, then_close: bool = True) -> Script:
    """Bytes as they are, with a pause between them; silence afterwards, or the end of the connection."""

    async def script(_: Heard, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)
        if then_close:
            writer.close()

    return script


def endless(head: bytes, part: bytes, pause: float = 0.0) -> Script:
    """A body that never ends, as fast or as slow as wanted."""

    async def script(_: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return script


async def silent(_: Heard, __: asyncio.StreamWriter) -> None:
    """Never answers."""
    await asyncio.Event().wait()


@asynccontextmanager
async def stub(tls: ssl.SSLContext | None = None) -> AsyncIterator[Stub]:
    made = Stub(scheme="https" if tls else "http")
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await made.serve(reader, writer)
        except asyncio.CancelledError:
            writer.close()
        finally:
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


class _Announcing(uvicorn.Server):
    """Says when it is up."""

    def __init__(self, app: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app, host="127.0.0.1", port=0, log_level="critical", lifespan="on", ws="none", log_config=None
            )
        )
        self.is_up = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """An ASGI application on a port of this machine; yields its address."""
    server = _Announcing(app)
    task = asyncio.create_task(server.serve())
    await asyncio.wait_for(server.is_up.wait(), 15)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 15)


def opening(
    config: Mapping[str, Any],
    secrets: Mapping[str, str] | None = None,
    *,
    allow_private: bool = True,
    name: str = "crm",
) -> Opening:
    return Opening(ORG, name, config, secrets or {}, allow_private)


def http(base_url: str, secrets: Mapping[str, str] | None = None, **config: Any) -> HttpConnector:
    """A connector to a server of this machine."""
    return open_http(opening({"base_url": base_url, "allow_http": True, **config}, secrets))


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority of a test, and what it signs."""

    pem: str
    key: Any
    certificate: Any

    def server(self, folder: Path, *names: str) -> ssl.SSLContext:
        """A server's side with a certificate for these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names]
        made = _certificate(names[0], key.public_key(), self.certificate.subject, alternatives).sign(
            self.key, hashes.SHA256()
        )
        path = folder / f"{names[0]}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def authority() -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tests")])
    made = (
        _certificate("Tests", key.public_key(), name, [])
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return Authority(made.public_bytes(serialization.Encoding.PEM).decode(), key, made)


def _certificate(name: str, key: Any, issuer: x509.Name, alternatives: list[Any]) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
    )
    return builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False) if alternatives else builder


async def _read(reader: asyncio.StreamReader) -> Heard:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Heard(method, target, headers, body)
