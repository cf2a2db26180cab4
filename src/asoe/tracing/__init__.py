"""Spans of what is done for a query, from the door to the last act (docs/operations/tracing.md). A leaf: it knows no room.

Nobody listens unless `export.py` was asked to, and then a span costs one call. What a span may hold is decided here: the names
of `ATTRIBUTES`, with ids, words, figures and flags as values. Whatever else is given, client text first of all, is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias
from uuid import UUID

from asoe.domain.errors import AsoeError

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

Kind: TypeAlias = Literal["internal", "server", "client", "consumer"]
Shape: TypeAlias = Literal["id", "word", "words", "figure", "flag", "host", "model"]

ATTRIBUTES: Final[Mapping[str, tuple[str, Shape]]] = {
    "account_id": ("asoe.account.id", "id"),
    "act_key": ("asoe.act.key", "id"),
    "action": ("asoe.action", "word"),
    "agent": ("gen_ai.agent.name", "word"),
    "category": ("asoe.ticket.category", "word"),
    "channel": ("asoe.channel", "word"),
    "connector": ("asoe.connector.name", "word"),
    "connector_kind": ("asoe.connector.kind", "word"),
    "cost_usd": ("asoe.cost_usd", "figure"),
    "delivery_id": ("asoe.delivery.id", "id"),
    "error": ("error.type", "word"),
    "fact": ("asoe.fact", "word"),
    "host": ("server.address", "host"),
    "http_method": ("http.request.method", "word"),
    "http_status": ("http.response.status_code", "figure"),
    "initiator": ("asoe.initiator", "word"),
    "intent": ("asoe.ticket.intent", "word"),
    "is_undo": ("asoe.act.is_undo", "flag"),
    "job": ("asoe.job", "word"),
    "language": ("asoe.ticket.language", "word"),
    "max_tokens": ("gen_ai.request.max_tokens", "figure"),
    "messages": ("asoe.messages", "figure"),
    "mode": ("asoe.run.mode", "word"),
    "model": ("gen_ai.request.model", "model"),
    "operation": ("asoe.operation", "word"),
    "orchestrator_run_id": ("asoe.orchestrator_run.id", "id"),
    "org_id": ("asoe.org.id", "id"),
    "outcome": ("asoe.outcome", "word"),
    "output_type": ("gen_ai.output.type", "word"),
    "plan": ("asoe.plan", "word"),
    "port": ("server.port", "figure"),
    "provider": ("gen_ai.provider.name", "word"),
    "reason": ("asoe.reason", "word"),
    "reasons": ("asoe.reasons", "words"),
    "reading": ("asoe.reading", "word"),
    "reply": ("asoe.reply", "word"),
    "request_id": ("asoe.request.id", "id"),
    "risk": ("asoe.risk", "word"),
    "route": ("http.route", "word"),
    "run_id": ("asoe.run.id", "id"),
    "runbook": ("asoe.runbook.name", "word"),
    "session_id": ("asoe.session.id", "id"),
    "severity": ("asoe.ticket.severity", "word"),
    "spoken": ("gen_ai.operation.name", "word"),
    "stage": ("asoe.journey.stage", "word"),
    "status": ("asoe.status", "word"),
    "step": ("asoe.step", "word"),
    "team": ("asoe.team", "word"),
    "ticket_id": ("asoe.ticket.id", "id"),
    "tokens_in": ("gen_ai.usage.input_tokens", "figure"),
    "tokens_out": ("gen_ai.usage.output_tokens", "figure"),
    "tries": ("asoe.tries", "figure"),
    "use": ("asoe.model.use", "word"),
    "waiting_for": ("asoe.waiting_for", "word"),
    "workflow": ("gen_ai.workflow.name", "word"),
}
"""By the keyword that code gives: the name on the wire, and the form that a value must have to get there."""

_WORD: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./:{}-]{0,119}")
_HOST: Final = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:-]{0,119}")
_HEX_ID: Final = re.compile(r"[0-9a-f-]{32,40}")
_PARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_MOST_WORDS: Final = 16


class Span:
    """A span under way; this one is nobody's, and stands wherever nobody listens."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        return None

    def note(self, **attributes: object) -> None:
        """Add what is known by now."""

    def failed(self, error: str) -> None:
        """Mark it as failed, with the kind of the error in one word; without this only an exception does."""

    def rename(self, verb: str, *, of: str = "") -> None:
        """Name it anew, once it is known what it is about."""


NOBODYS: Final = Span()


class Recorded(Span):
    """A span that somebody listens to."""

    __slots__ = ("_has_failed", "_is_current", "_span", "_token")

    def __init__(self, span: Any, *, is_current: bool) -> None:
        self._span = span
        self._is_current = is_current
        self._has_failed = False
        self._token: Any = None

    def __enter__(self) -> Self:
        if self._is_current:
            from opentelemetry import context, trace

            self._token = context.attach(trace.set_span_in_context(self._span)), _HERE.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.note(outcome="cancelled")
        elif error is not None and not self._has_failed:
            self.failed(error.code if isinstance(error, AsoeError) else type(error).__name__.lstrip("_"))
        if self._token is not None:
            from opentelemetry import context

            context.detach(self._token[0])
            with contextlib.suppress(ValueError):  # closed by another task than it was opened by
                _HERE.reset(self._token[1])
        self._span.end()

    def note(self, **attributes: object) -> None:
        for name, value in attributes.items():
            made = _attribute(name, value)
            if made is not None:
                self._span.set_attribute(*made)

    def failed(self, error: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        self._has_failed = True
        self._span.set_status(Status(StatusCode.ERROR))
        self.note(error=error)

    def rename(self, verb: str, *, of: str = "") -> None:
        self._span.update_name(named(verb, of))


_tracer: Tracer | None = None
_HERE: Final[ContextVar[Span]] = ContextVar("asoe_span", default=NOBODYS)
_AFTER: Final[ContextVar[str | None]] = ContextVar("asoe_after", default=None)


def is_on() -> bool:
    """Whether anybody listens in this process."""
    return _tracer is not None


def listen(tracer: Tracer | None) -> None:
    """Give spans to this tracer from now on; None: to nobody. `export.py` calls it, and tests."""
    global _tracer
    _tracer = tracer


def span(
    verb: str,
    *,
    of: str = "",
    kind: Kind = "internal",
    parent: str | None = "here",
    link: str | None = None,
    is_current: bool = True,
    **attributes: object,
) -> Span:
    """A span to be entered, named by the verb and the word it is about, below the one that is open here.

    parent: a W3C traceparent instead, or None for a new trace. link: a traceparent that it comes after without being part of it.
    is_current False: nothing will be below it, and it may be closed by another task. Attributes are those of `ATTRIBUTES`.
    """
    if _tracer is None:
        return NOBODYS
    from opentelemetry import context, trace

    begun = None if parent == "here" else context.Context()
    if begun is not None and parent is not None and (remote := _remote(parent)) is not None:
        begun = trace.set_span_in_context(trace.NonRecordingSpan(remote), begun)
    before = None if link is None else _remote(link)
    made = _tracer.start_span(
        named(verb, of),
        context=begun,
        kind=trace.SpanKind[kind.upper()],
        attributes=_formed_all(attributes),
        links=() if before is None else (trace.Link(before),),
        record_exception=False,
        set_status_on_exception=False,
    )
    return Recorded(made, is_current=is_current)


def here() -> Span:
    """The span that is open here, to note something on it."""
    return _HERE.get()


def current() -> str | None:
    """The W3C traceparent of what is open here, to be carried elsewhere; None when there is none."""
    if _tracer is None:
        return None
    from opentelemetry import trace

    found = trace.get_current_span().get_span_context()
    if not found.is_valid:
        return None
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


def trace_id() -> str | None:
    """The trace that is open here, for a line of the log."""
    found = current()
    return None if found is None else found[3:35]


def carried() -> dict[str, dict[str, str]] | None:
    """What a job enqueued here takes along, as its headers."""
    if _tracer is None:
        return None
    after = _AFTER.get()
    if after is not None:
        return {"otel": {"link": after}}
    parent = current()
    return None if parent is None else {"otel": {"traceparent": parent}}


@contextlib.contextmanager
def continuing(traceparent: str | None, *, is_link: bool = False) -> Iterator[None]:
    """What is enqueued inside belongs to a trace that was left long ago, or only comes after it (`is_link`)."""
    remote = None if _tracer is None or traceparent is None else _remote(traceparent)
    if remote is None:
        yield
        return
    from opentelemetry import context, trace

    after = _AFTER.set(traceparent) if is_link else None
    token = None if is_link else context.attach(trace.set_span_in_context(trace.NonRecordingSpan(remote)))
    try:
        yield
    finally:
        if token is not None:
            context.detach(token)
        if after is not None:
            _AFTER.reset(after)


def attributes(**given: object) -> dict[str, Any]:
    """What of it may be told, by the names on the wire."""
    return _formed_all(given)


def is_traceparent(text: str) -> bool:
    """Whether it is one of version 00 that names a trace and a span."""
    found = _PARENT.fullmatch(text)
    return found is not None and bool(int(found[1], 16)) and bool(int(found[2], 16))


def _remote(traceparent: str) -> Any:
    found = _PARENT.fullmatch(traceparent)
    if found is None:
        return None
    from opentelemetry.trace import SpanContext, TraceFlags

    flags = TraceFlags(int(found[3], 16) & TraceFlags.SAMPLED)
    made = SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=flags)
    return made if made.is_valid else None


def named(verb: str, of: str) -> str:
    """The name of a span: the verb, and what it is about where that is one word."""
    return f"{verb} {of}" if _MODEL.fullmatch(of) or _WORD.fullmatch(of) else verb


def _formed_all(given: Mapping[str, object]) -> dict[str, Any]:
    return dict(made for name, value in given.items() if (made := _attribute(name, value)) is not None)


def _attribute(name: str, value: object) -> tuple[str, Any] | None:
    """What goes on the wire; None for a name that is not listed and a value that has not its form."""
    known = ATTRIBUTES.get(name)
    if known is None or value is None:
        return None
    made = _formed(known[1], value)
    return None if made is None else (known[0], made)


def _formed(shape: Shape, value: object) -> Any:
    match shape, value:
        case "flag", bool():
            return value
        case "figure", bool():
            return None
        case "figure", int() | float():
            return value if math.isfinite(value) else None
        case "id", UUID():
            return str(value)
        case "id", str():
            return value if _HEX_ID.fullmatch(value) else None
        case "word", str():
            return value if _WORD.fullmatch(value) else None
        case "words", Sequence() if not isinstance(value, str | bytes):
            words = [each for each in value if isinstance(each, str) and _WORD.fullmatch(each)]
            return words[:_MOST_WORDS] or None
        case "host", str():
            return value if _HOST.fullmatch(value) else None
        case "model", str():
            return value if _MODEL.fullmatch(value) else None
        case _:
            return None
