"""Any system with a REST API, by its OpenAPI document or by operations written by hand. Risk classes are the organization's.

What its configuration says is read in http_settings, what a call may reach is the guard's to say (outbound), who it calls
as the credentials' (credentials).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from asoe.connectors.contract import Action, ConnectorError, Health, Json, Probe
from asoe.connectors.credentials import credentials_for, shown_secrets
from asoe.connectors.http_settings import ErrorBy, HttpConfig, Operation, read_settings
from asoe.connectors.kinds import Kind, Opening, refused
from asoe.connectors.mapping import MISSING, Checker, at, code_of
from asoe.connectors.openapi import LARGEST_DOCUMENT, check_document, read_document
from asoe.connectors.outbound import Answer, Outbound, parse_json
from asoe.connectors.places import origin_of
from asoe.connectors.remote import rules_at
from asoe.domain.errors import FieldProblem

KIND: Final = "http"
_CHECK_SECONDS: Final = 10.0
_CODES: Final = ("code", "error.code", "error.type", "error", "type")


class HttpConnector:
    """One REST system."""

    kind = KIND

    def __init__(self, opening: Opening, config: HttpConfig, operations: Mapping[str, Operation]) -> None:
        self.name = opening.name
        self._config = config
        self._operations = operations
        self._checkers: dict[str, Checker] = {}
        self._outbound = _outbound(opening, config)
        self._credentials = credentials_for(config.auth, opening.secrets, self._outbound)

    def __repr__(self) -> str:
        return f"HttpConnector({self.name!r}, {self._config.base_url!r})"

    async def actions(self) -> Mapping[str, Action]:
        return {name: one.action for name, one in self._operations.items() if one.risk and not one.described.unusable}

    def unclassified(self) -> Mapping[str, str]:
        """Operations that cannot be used, with the reason."""
        return {
            name: one.described.unusable or "is unclassified: give it a risk (risks)"
            for name, one in self._operations.items()
            if not one.risk or one.described.unusable
        }

    async def read(self, action: str, arguments: Mapping[str, Json], *, timeout: float) -> Json:
        one = self._usable(action)
        if one.risk != "read":
            raise self._wrong(f"{action} is no read: its risk is {one.risk}")
        return await self._call(one, arguments, key=None, timeout=timeout)

    async def act(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Json:
        one = self._usable(action)
        if one.risk == "read":
            raise self._wrong(f"{action} is a read and no act")
        return await self._call(one, arguments, key=key, timeout=timeout)

    async def probe(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Probe:
        by = self._usable(action).given.probe
        if by is None:
            return Probe("unknown")
        try:
            result = await self.read(by.call, by.asked(arguments, key), timeout=timeout)
        except ConnectorError as error:
            if error.is_missing:
                return by.when_missing()
            raise
        return by.judge(result, arguments, key)

    async def health(self) -> Health:
        started = time.perf_counter()
        try:
            if self._config.health:
                await self.read(self._config.health, {}, timeout=_CHECK_SECONDS)
            else:
                request = await self._credentials.sign(self._request("GET", self._config.base_url))
                answer = await self._outbound.send(request, what="the health check", timeout=_CHECK_SECONDS)
                refused_by = self._outbound.refusal(answer, what="the health check")
                if refused_by is not None and (answer.status in {401, 403} or answer.status >= 500):
                    raise refused_by
        except ConnectorError as error:
            return Health(is_up=False, detail=error.message)
        return Health(is_up=True, detail=self._detail(), latency_ms=(time.perf_counter() - started) * 1000)

    async def close(self) -> None:
        await self._outbound.close()

    def _detail(self) -> str:
        left = self.unclassified()
        if not left:
            return ""
        named = ", ".join(sorted(left)[:10]) + (", …" if len(left) > 10 else "")
        return f"{len(left)} operations cannot be used, most for want of a risk (risks): {named}."

    def _usable(self, action: str) -> Operation:
        one = self._operations.get(action)
        if one is None:
            raise self._wrong(f"there is no action {action[:100]}")
        if one.described.unusable:
            raise self._wrong(f"{action} cannot be called: {one.described.unusable}")
        if one.risk is None:
            raise self._wrong(f"{action} is unclassified: give it a risk (risks)")
        return one

    async def _call(self, one: Operation, arguments: Mapping[str, Json], *, key: str | None, timeout: float) -> Json:
        ends = time.monotonic() + min(timeout, one.given.timeout or timeout)
        has_effect = key is not None
        sent_key = key if one.given.repeats == "by_key" else None
        for is_last in (False, True):
            request = await self._credentials.sign(self._built(one, arguments, sent_key))
            answer = await self._outbound.send(
                request, what=one.name, timeout=max(0.001, ends - time.monotonic()), may_have_effect=has_effect
            )
            if answer.status != 401 or is_last or not self._credentials.doubt():
                break
        return self._result(one, answer, has_effect=has_effect)

    def _result(self, one: Operation, answer: Answer, *, has_effect: bool) -> Json:
        body = _body_of(answer)
        failed = self._outbound.refusal(
            answer,
            what=one.name,
            may_have_effect=has_effect,
            missing=one.given.missing,
            in_progress=self._config.in_progress if has_effect and one.given.repeats == "by_key" else (),
            code="" if answer.is_success else next(filter(None, (code_of(at(body, path)) for path in _CODES)), ""),
        )
        if failed is not None:
            raise failed
        if body is MISSING:
            raise ConnectorError(
                f"{self.name} answered {one.name} with something that is no JSON though it says so.",
                permanent=True,
                effect="unknown" if has_effect else "none",
            )
        if one.error is not None:
            self._check_flag(one, one.error, body, has_effect=has_effect)
        result = at(body, one.given.result)
        if result is MISSING:
            raise ConnectorError(
                f"{self.name} answered {one.name} without {one.given.result!r}, where its result should be.",
                permanent=True,
                effect="unknown" if has_effect else "none",
            )
        return _parsed(result) if one.given.parse_text and isinstance(result, str) else result

    def _check_flag(self, one: Operation, by: ErrorBy, body: Json, *, has_effect: bool) -> None:
        found = at(body, by.path)
        is_set = found is not MISSING and (
            found not in (None, False, "", 0, [], {}) if by.equals is MISSING else found == by.equals
        )
        if not is_set:
            return
        code = self._outbound.scrub(code_of(at(body, by.code))) if by.code else ""
        said = str(at(body, by.message)).casefold() if by.message else ""
        is_missing = any(text.casefold() in said for text in by.missing)
        raise ConnectorError(
            f"{self.name} answered {one.name} with an error{f' ({code})' if code else ''}"
            f"{': there is no such thing' if is_missing else ''}.",
            permanent=by.permanent,
            effect=by.effect if has_effect else "none",
            is_missing=is_missing,
        )

    def _built(self, one: Operation, arguments: Mapping[str, Json], key: str | None) -> httpx.Request:
        checker = self._checkers.get(one.name)
        if checker is None:
            checker = self._checkers[one.name] = Checker(one.described.arguments)
        problem = checker.problem(arguments)
        if problem is not None:
            raise self._wrong(f"{one.name} is not called: {problem}")
        path, query, headers, fields = one.described.path, [], dict[str, str](), dict[str, Json]()
        whole: Json = MISSING
        for name, value in arguments.items():
            slot = one.described.slots[name]
            match slot.place:
                case "path":
                    path = path.replace(f"{{{slot.wire}}}", self._segment(one, name, value))
                case "query":
                    query += [(slot.wire, _text(each)) for each in _several(value) if each is not None]
                case "header":
                    if value is not None:
                        headers[slot.wire] = self._header(one, name, _text(value))
                case _ if slot.is_whole:
                    whole = value
                case _:
                    fields[slot.wire] = value
        if key is not None and self._config.idempotency_header:
            headers[self._config.idempotency_header] = key
        body: dict[str, Any] = {}
        if one.described.method not in {"GET", "HEAD"} and (fields or whole is not MISSING):
            if one.described.body == "form":
                form = whole if isinstance(whole, Mapping) else fields
                body["data"] = {
                    name: [_text(item) for item in _several(each)] for name, each in form.items() if each is not None
                }
            else:
                body["json"] = fields if whole is MISSING else whole
        url = self._config.base_url.rstrip("/") + path
        return self._request(one.described.method, url, params=query or None, headers=headers, **body)

    def _request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Request:
        said = {"Accept": "application/json", **self._config.headers, **(headers or {})}
        try:
            return httpx.Request(method, url, headers=said, **more)
        except (ValueError, TypeError, httpx.InvalidURL):
            raise self._wrong("the call cannot be put into a request") from None

    def _segment(self, one: Operation, name: str, value: Json) -> str:
        """One segment of a path: it never leads out of its place."""
        text = _text(value)
        if not text or text in {".", ".."} or isinstance(value, list | dict):
            raise self._wrong(f"{one.name} is not called: {name} cannot be a part of a path")
        return quote(text, safe="")

    def _header(self, one: Operation, name: str, text: str) -> str:
        if not (text.isascii() and text.isprintable()):
            raise self._wrong(f"{one.name} is not called: {name} cannot be a header")
        return text

    def _wrong(self, words: str) -> ConnectorError:
        return ConnectorError(f"{self.name}: {words}.", permanent=True)


def open_http(opening: Opening) -> HttpConnector:
    """A connector of a stored configuration; calls nobody."""
    config, operations = read_settings(opening)
    return HttpConnector(opening, config, operations)


async def prepare_http(opening: Opening, _: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a configuration; an OpenAPI document given by address is fetched through the guard and kept in it."""
    config = dict(opening.config)
    given = config.get("openapi")
    if isinstance(given, Mapping) and set(given) == {"url"}:
        config["openapi"] = await _fetched(opening, config, str(given["url"]))
    elif isinstance(given, Mapping):
        try:
            config["openapi"] = check_document(given)
        except ValueError as error:
            raise refused([FieldProblem("config.openapi", str(error))]) from None
    read_settings(Opening(opening.org_id, opening.name, config, opening.secrets, opening.allow_private))
    return config


async def _fetched(opening: Opening, config: Mapping[str, Any], url: str) -> dict[str, Json]:
    bare = Opening(opening.org_id, opening.name, {**config, "openapi": None}, opening.secrets, opening.allow_private)
    checked, _ = read_settings(bare, with_operations=False)
    outbound = _outbound(bare, checked.model_copy(update={"largest_bytes": LARGEST_DOCUMENT}))
    try:
        request = httpx.Request("GET", url, headers={"Accept": "application/json, application/yaml;q=0.9, */*;q=0.5"})
        if origin_of(url) == origin_of(checked.base_url):
            request = await credentials_for(checked.auth, opening.secrets, outbound).sign(request)
        answer = await outbound.send(request, what="its OpenAPI document", timeout=_CHECK_SECONDS * 3)
        failed = outbound.refusal(answer, what="its OpenAPI document")
        if failed is not None:
            raise failed
        return read_document(answer.content)
    except (ValueError, httpx.InvalidURL) as error:
        raise refused([FieldProblem("config.openapi.url", str(error))]) from None
    finally:
        await outbound.close()


def _outbound(opening: Opening, config: HttpConfig) -> Outbound:
    return Outbound(
        rules_at(config.base_url, config, opening),
        name=opening.name,
        secrets=shown_secrets(config.auth, opening.secrets),
    )


def _body_of(answer: Answer) -> Any:
    """JSON when there is some, text otherwise, null for an empty body; MISSING when it is not the JSON it claims to be."""
    if not answer.content.strip():
        return None
    try:
        return parse_json(answer.content)
    except ValueError:
        claims = answer.headers.get("content-type", "").split(";")[0].strip().lower()
        if claims == "application/json" or claims.endswith("+json"):
            return MISSING
        return answer.content.decode("utf-8", "replace").replace("\x00", "")


def _parsed(text: str) -> Json:
    try:
        return parse_json(text.encode())
    except ValueError:
        return text


def _several(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _text(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return "" if value is None else str(value)


HTTP: Final = Kind(KIND, "any system with a REST API", open_http, prepare_http)
