"""Structured logs on standard error: JSON lines, or lines for people. What is logged never holds secrets or client text."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

import structlog

from asoe import tracing
from asoe.config import Settings

_SECRET: Final = ("token", "secret", "password", "authorization", "api_key", "dsn", "_url")
_TEXT: Final = frozenset({"body", "content", "subject", "message", "text", "question"})
_QUIET: Final = ("httpx", "httpcore", "asyncio")
_MOST_PLACES: Final = 8


def configure(settings: Settings) -> None:
    """Send our events and those of the libraries through one pipe; call once per process."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        place_in_trace,
        withhold,
    ]
    is_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    renderer: Any = structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                place_errors,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in ("_granian", "granian.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def place_errors(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An error is told by its kinds and places: its message, source lines and local values may quote clients or secrets."""
    given = event.pop("exc_info", None)
    event.pop("exception", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["error"] = event.get("error") or type(error).__name__
        event["where"] = [
            f"{type(at).__name__}: "
            + " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(places))
            for at in chain_of(error)
            if (places := traceback.extract_tb(at.__traceback__)[-_MOST_PLACES:])
        ]
    return event


def chain_of(error: BaseException) -> list[BaseException]:
    """The error and what it came from, outermost first."""
    found: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in found:
        found.append(at)
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return found


def place_in_trace(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The trace in which a line was written, where there is one."""
    found = tracing.trace_id()
    if found is not None:
        event["trace_id"] = found
    return event


def withhold(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last net: fields named like secrets or client text are withheld, whoever logs them."""
    for name in event:
        if name != "event" and (name in _TEXT or any(part in name for part in _SECRET)):
            event[name] = "(withheld)"
    return event
