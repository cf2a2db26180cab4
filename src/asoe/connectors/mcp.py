"""Tools of an MCP server (Streamable HTTP) as actions. A tool can be used once a person gave it a risk class, as it was then.

What a server says of its tools is never believed, and what its tools answer is marked as untrusted: plain JSON and text.
Every call is a session of its own through the guard; what the server would push by itself is not listened to.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Annotated, Any, Final, Literal

import httpx
import httpx2
import mcp_types as types
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from pydantic import Field, ValidationError

from asoe.connectors.contract import Action, Changed, ConnectorError, Health, Json, Probe
from asoe.connectors.credentials import Credentials, credentials_for, shown_secrets
from asoe.connectors.kinds import Config, Kind, Opening, problems_of, refused
from asoe.connectors.mapping import Checker, ProbeBy
from asoe.connectors.outbound import Answer, Outbound, checked_depth, parse_json
from asoe.connectors.places import LARGEST
from asoe.connectors.remote import RemoteConfig, rules_at
from asoe.domain.errors import FieldProblem
from asoe.domain.runbook import Risk

KIND: Final = "mcp"
_TOOL_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
ToolName = Annotated[str, Field(pattern=f"^{_TOOL_NAME.pattern}$")]
_MOST_PAGES: Final = 20
_MOST_TOOLS: Final = 1000
_LARGEST_SCHEMA: Final = 64 * 1024
_LONGEST_DESCRIPTION: Final = 2000
_CHECK_SECONDS: Final = 15.0
_REFUSED: Final = frozenset({types.INVALID_PARAMS, types.METHOD_NOT_FOUND, types.HEADER_MISMATCH})
_KEY_META: Final = "asoe/idempotency-key"

# they quote what servers send, and addresses
logging.getLogger("mcp.client").setLevel(logging.CRITICAL)
logging.getLogger("httpx2").setLevel(logging.WARNING)


class ToolIn(Config):
    """What an organization says of one tool. `key_argument`: the argument that carries the idempotency key."""

    risk: Risk | None = None
    repeats: Literal["by_key", "naturally", "never"] = "never"
    key_argument: str | None = None
    timeout: float | None = Field(None, gt=0, le=300)
    probe: ProbeBy | None = None
    undo: ToolName | None = None
    amount: str | None = None


class Reviewed(Config):
    """A tool as it was when it got its risk class."""

    hash: str
    description: str = ""
    arguments: dict[str, Any] = Field(default_factory=dict)


class McpConfig(RemoteConfig):
    """The configuration of a connector of this kind; docs/connectors.md explains each field."""

    url: str
    risks: dict[ToolName, Risk] = Field(default_factory=dict)
    tools: dict[ToolName, ToolIn] = Field(default_factory=dict)
    reviewed: dict[ToolName, Reviewed] = Field(default_factory=dict)
    offered: tuple[str, ...] = ()
    largest_bytes: int = Field(LARGEST, ge=1, le=16 * 1024 * 1024)

    def tool(self, name: str) -> ToolIn:
        return self.tools.get(name, ToolIn())

    def risk(self, name: str) -> Risk | None:
        return self.tool(name).risk or self.risks.get(name)

    @property
    def classified(self) -> set[str]:
        return {name for name in {*self.risks, *self.tools} if self.risk(name)}


class McpConnector:
    """One MCP server."""

    kind = KIND

    def __init__(self, opening: Opening, config: McpConfig) -> None:
        self.name = opening.name
        self._config = config
        rules = rules_at(config.url, config, opening)
        self._outbound = Outbound(rules, name=opening.name, secrets=shown_secrets(config.auth, opening.secrets))
        self._credentials = credentials_for(config.auth, opening.secrets, self._outbound)

    def __repr__(self) -> str:
        return f"McpConnector({self.name!r}, {self._config.url!r})"

    async def actions(self) -> Mapping[str, Action]:
        """The reviewed tools, as they were: asks nobody."""
        return {name: self._action(name, self._config.reviewed[name]) for name in sorted(self._usable_names())}

    def unclassified(self) -> Mapping[str, str]:
        """Tools that cannot be used, with the reason."""
        names = {*self._config.offered, *self._config.classified} - self._usable_names()
        return dict.fromkeys(sorted(names), "is unclassified: give it a risk (risks)")

    async def read(self, action: str, arguments: Mapping[str, Json], *, timeout: float) -> Json:
        if self._config.risk(action) not in {None, "read"}:
            raise self._wrong(f"{action} is no read: its risk is {self._config.risk(action)}")
        return await self._call(action, arguments, key=None, timeout=timeout)

    async def act(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Json:
        if self._config.risk(action) == "read":
            raise self._wrong(f"{action} is a read and no act")
        return await self._call(action, arguments, key=key, timeout=timeout)

    async def probe(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Probe:
        by = self._config.tool(action).probe
        if by is None:
            return Probe("unknown")
        result = await self.read(by.call, by.asked(arguments, key), timeout=timeout)
        return by.judge(result, arguments, key)

    async def health(self) -> Health:
        started = time.perf_counter()
        try:
            tools = await self.offered_tools()
        except ConnectorError as error:
            return Health(is_up=False, detail=error.message)
        usable = sorted(self._usable_names())
        changed = tuple(found for name in usable if (found := self._changed(name, tools.get(name))) is not None)
        new = sorted(set(tools) - set(usable))
        said = []
        if changed:
            listed = _listed([each.name for each in changed])
            said.append(f"Changed or gone since they were reviewed, and refused until then: {listed}.")
        if new:
            said.append(f"Unclassified, and not used: {_listed(new)}.")
        took = (time.perf_counter() - started) * 1000
        return Health(is_up=True, detail=" ".join(said), latency_ms=took, changed=changed)

    async def offered_tools(self) -> dict[str, types.Tool]:
        """What the server says it has, now."""
        found: dict[str, types.Tool] = await self._talk(_list_tools, "the list of tools", timeout=_CHECK_SECONDS)
        return found

    async def close(self) -> None:
        await self._outbound.close()

    def _usable_names(self) -> set[str]:
        return self._config.classified & set(self._config.reviewed)

    def _changed(self, name: str, now: types.Tool | None) -> Changed | None:
        before = self._config.reviewed[name]
        digest = "" if now is None else digest_of(now)
        if digest == before.hash:
            return None
        was = {"description": before.description, "arguments": before.arguments}
        return Changed(name, was, None if now is None else _said_of(now), digest)

    def _action(self, name: str, reviewed: Reviewed) -> Action:
        risk, tool = self._config.risk(name), self._config.tool(name)
        assert risk is not None
        return Action(
            name=name,
            risk=risk,
            description=reviewed.description,
            arguments=_without(reviewed.arguments, tool.key_argument),
            repeats=tool.repeats,
            has_probe=tool.probe is not None,
            undo=tool.undo,
            amount=tool.amount,
        )

    async def _call(self, name: str, arguments: Mapping[str, Json], *, key: str | None, timeout: float) -> Json:
        if name not in self._usable_names():
            raise self._wrong(f"{name} is not among the tools with a risk class: give it one (risks)")
        reviewed, tool = self._config.reviewed[name], self._config.tool(name)
        given = dict(arguments)
        if key is not None and tool.key_argument:
            given[tool.key_argument] = key
        problem = Checker(reviewed.arguments).problem(given)
        if problem is not None:
            raise self._wrong(f"{name} is not called: {problem}")

        async def work(client: Client, transport: _Guarded) -> Json:
            offered = (await _list_tools(client, transport, name)).get(name)
            if offered is None or digest_of(offered) != reviewed.hash:
                words = f"{name} was changed by its server since it was reviewed: look at it again, then review it anew"
                raise self._wrong(words, is_drift=True)
            transport.is_acting = key is not None
            meta: Any = {_KEY_META: key} if key is not None else None
            parameters = types.CallToolRequestParams(name=name, arguments=given, _meta=meta)
            answered = await client.session.send_request(types.CallToolRequest(params=parameters), types.CallToolResult)
            return self._result(name, answered, is_act=key is not None)

        return await self._talk(work, name, timeout=min(timeout, tool.timeout or timeout))

    def _result(self, name: str, answered: types.CallToolResult, *, is_act: bool) -> Json:
        if answered.is_error:
            raise ConnectorError(
                f"{self.name}: the tool {name} reported an error.",
                permanent=True,
                effect="unknown" if is_act else "none",
            )
        text = "\n".join(each.text for each in answered.content if isinstance(each, types.TextContent))
        data = answered.structured_content
        if data is None and text:
            with contextlib.suppress(ValueError):
                data = parse_json(text.encode("utf-8", "replace"))
        left_out = sum(not isinstance(each, types.TextContent) for each in answered.content)
        return {"untrusted": True, "data": checked_depth(data), "text": text, "left_out": left_out}

    async def _talk(self, work: Callable[[Client, _Guarded], Awaitable[Any]], what: str, *, timeout: float) -> Any:
        """One session: connect, do `work`, leave; whatever goes wrong becomes a `ConnectorError`."""
        transport = _Guarded(self._outbound, self._credentials, self._config.headers, what)
        outcome = _Outcome()
        try:
            async with asyncio.timeout(timeout), httpx2.AsyncClient(transport=transport, trust_env=False) as http:
                connecting = streamable_http_client(self._config.url, http_client=http)
                async with Client(connecting, cache=None, client_info=_who_we_are()) as client:
                    try:
                        outcome.value = await work(client, transport)
                        outcome.is_done = True
                    except Exception as error:  # raised outside, past the task groups that would wrap it
                        outcome.error = error
        except Exception as error:
            outcome.error = outcome.error or error
        if outcome.is_done:
            return outcome.value
        raise self._translated(outcome.error, transport, what)

    def _translated(self, error: Exception | None, transport: _Guarded, what: str) -> ConnectorError:
        if isinstance(error, ConnectorError):
            return error
        if transport.failure is not None:
            return transport.failure
        effect: Literal["none", "unknown"] = "unknown" if transport.is_acting else "none"
        match error:
            case TimeoutError():
                words, permanent = "no whole answer came in time", False
            case MCPError() if error.code in _REFUSED:
                words, permanent, effect = f"the server refused the call ({error.code})", True, "none"
            case MCPError():
                words, permanent = f"the server answered with an error ({error.code})", False
            case _:
                words, permanent = f"the server answered what is not MCP ({type(error).__name__})", True
        doubt = " Whether it took effect is not known." if effect == "unknown" else ""
        return ConnectorError(f"{self.name}: {what} failed: {words}.{doubt}", permanent=permanent, effect=effect)

    def _wrong(self, words: str, *, is_drift: bool = False) -> ConnectorError:
        return ConnectorError(f"{self.name}: {words}.", permanent=True, is_drift=is_drift)


@dataclass(slots=True)
class _Outcome:
    value: Any = None
    is_done: bool = False
    error: Exception | None = None


@dataclass(slots=True)
class _Guarded(httpx2.AsyncBaseTransport):
    """The SDK's way out: every request goes through the guard with our credentials on it."""

    outbound: Outbound
    credentials: Credentials
    headers: Mapping[str, str]
    what: str
    is_acting: bool = False
    failure: ConnectorError | None = field(default=None)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(405, request=request)  # a server's own messages are not listened to
        try:
            return await self._sent(request)
        except ConnectorError as error:
            self.failure = error
        raise httpx2.TransportError(self.what, request=request)

    async def _sent(self, request: httpx2.Request) -> httpx2.Response:
        headers = [*self.headers.items(), *request.headers.multi_items()]
        plain = httpx.Request(request.method, str(request.url), headers=headers, content=await request.aread())
        plain = await self.credentials.sign(plain)
        opened = self.outbound.stream(plain, what=self.what, timeout=None, may_have_effect=self.is_acting)
        status, answered, parts = await opened.__aenter__()
        if status in {401, 403, 429} or status >= 500:
            self.failure = self.outbound.refusal(
                Answer(status, answered, b""), what=self.what, may_have_effect=self.is_acting
            )
        return httpx2.Response(status, headers=answered.multi_items(), stream=_Body(self, opened, parts))


class _Body(httpx2.AsyncByteStream):
    def __init__(self, transport: _Guarded, opened: Any, parts: AsyncIterator[bytes]) -> None:
        self._transport = transport
        self._opened = opened
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._parts:
                yield part
        except ConnectorError as error:
            self._transport.failure = error
            raise httpx2.ReadError("the answer was cut off") from None

    async def aclose(self) -> None:
        await self._opened.__aexit__(None, None, None)


def digest_of(tool: types.Tool) -> str:
    """All that a server says of a tool and a person, or a model, goes by."""
    said = tool.model_dump(mode="json", by_alias=True, include={*_SAID}, exclude_none=True)
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def open_mcp(opening: Opening) -> McpConnector:
    """A connector of a stored configuration; calls nobody."""
    return McpConnector(opening, _read(opening))


async def prepare_mcp(opening: Opening, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a configuration, and keep each tool as it now is that has a risk and was not reviewed, or is named in `review`: a
    list of names, or names with the digest of what was looked at (`Changed.digest`).
    """
    if {"reviewed", "offered"} & set(given):
        raise refused([FieldProblem("config.reviewed", "is written by ASOE when a tool gets its risk; use review")])
    again = given.get("review") or ()
    stored = {key: value for key, value in opening.config.items() if key != "review"}
    bare = Opening(opening.org_id, opening.name, stored, opening.secrets, opening.allow_private)
    config = _read(bare)
    connector = McpConnector(bare, config)
    try:
        tools = await connector.offered_tools()
    finally:
        await connector.close()
    problems: list[FieldProblem] = []
    reviewed = {name: one.model_dump() for name, one in config.reviewed.items() if name in config.classified}
    for name in sorted(map(str, {*again, *(config.classified - set(reviewed))})):
        if name not in config.classified:
            problems.append(FieldProblem("config.review", f"{name[:128]} has no risk: give it one (risks)"))
        elif name not in tools:
            problems.append(FieldProblem(f"config.risks.{name}", "the server offers no such tool"))
        elif isinstance(again, Mapping) and again.get(name, digest_of(tools[name])) != digest_of(tools[name]):
            problems.append(FieldProblem("config.review", f"{name} was changed again since you looked: look anew"))
        else:
            reviewed[name] = _as_it_is(tools[name], problems)
    if problems:
        raise refused(problems)
    return {**stored, "reviewed": reviewed, "offered": sorted(tools)}


def _as_it_is(tool: types.Tool, problems: list[FieldProblem]) -> dict[str, Any]:
    place = f"config.risks.{tool.name}"
    try:
        Checker(checked_depth(tool.input_schema))
    except ValueError as error:
        problems.append(FieldProblem(place, f"the tool's schema {error}"))
    if len(json.dumps(tool.input_schema)) > _LARGEST_SCHEMA:
        problems.append(FieldProblem(place, f"the tool's schema is larger than {_LARGEST_SCHEMA} bytes"))
    said = {"description": (tool.description or "")[:_LONGEST_DESCRIPTION], "arguments": tool.input_schema}
    return {"hash": digest_of(tool), **said}


def _said_of(tool: types.Tool) -> dict[str, Json]:
    """All that its server says of it, for a person to read; what is too long is cut."""
    said = tool.model_dump(mode="json", by_alias=True, include={*_SAID}, exclude_none=True)
    named = {"arguments" if name == "inputSchema" else name: value for name, value in said.items() if name != "name"}
    named["description"] = (tool.description or "")[:_LONGEST_DESCRIPTION]
    if len(json.dumps(named)) > _LARGEST_SCHEMA:
        return {"description": named["description"], "arguments": "larger than can be shown"}
    return named


async def _list_tools(client: Client, _: _Guarded, wanted: str | None = None) -> dict[str, types.Tool]:
    """All tools, or those up to the page with the wanted one."""
    found: dict[str, types.Tool] = {}
    cursor: str | None = None
    for _page in range(_MOST_PAGES):
        listed = await client.session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
        for tool in listed.tools:
            if _TOOL_NAME.fullmatch(tool.name):
                found.setdefault(tool.name, tool)
        cursor = listed.next_cursor
        if cursor is None or wanted in found or len(found) > _MOST_TOOLS:
            break
    return found


def _read(opening: Opening) -> McpConfig:
    try:
        config = McpConfig.model_validate(dict(opening.config))
    except ValidationError as error:
        raise refused(problems_of(error)) from None
    problems = []
    try:
        rules_at(config.url, config, opening)
    except ValueError as error:
        problems.append(FieldProblem("config.url", str(error)))
    for name, tool in config.tools.items():
        place = f"config.tools.{name}"
        if tool.probe and config.risk(tool.probe.call) != "read":
            problems.append(FieldProblem(f"{place}.probe.call", "must name a read"))
        if tool.undo and config.risk(tool.undo) in {None, "read"}:
            problems.append(FieldProblem(f"{place}.undo", "must name a tool with an effect and a risk"))
        if tool.repeats == "by_key" and not tool.key_argument:
            problems.append(FieldProblem(f"{place}.repeats", "by_key needs key_argument"))
    if problems:
        raise refused(problems)
    return config


def _without(schema: Mapping[str, Json], argument: str | None) -> Mapping[str, Json]:
    """A tool's schema without the argument that ASOE fills in itself."""
    if argument is None:
        return schema
    properties = {name: value for name, value in schema.get("properties", {}).items() if name != argument}
    required = [name for name in schema.get("required", ()) if name != argument]
    return {**schema, "properties": properties, "required": required}


def _listed(names: list[str]) -> str:
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")


def _who_we_are() -> types.Implementation:
    return types.Implementation(name="asoe", version=version("asoe"))


_SAID: Final = frozenset({"name", "title", "description", "input_schema", "output_schema", "annotations"})

MCP: Final = Kind(KIND, "tools of an MCP server", open_mcp, prepare_mcp)
