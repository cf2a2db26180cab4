"""The client's chat widget: how an organization shows it, and who a client of it is. What they may do is the desk's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from asoe.domain.errors import FieldProblem, Invalid
from asoe.domain.policy import SUPPORTED_LANGUAGES

THEMES: Final = ("auto", "light", "dark")
DEFAULT_ACCENT: Final = "#3a5bc7"
MAX_ORIGINS: Final = 50
MAX_GREETING: Final = 500
VISITOR: Final = "visitor:"
"""The external ids of contacts that only the widget knows begin with it; no signed client may be called so."""

_ACCENT: Final = re.compile(r"#[0-9a-f]{6}")
_HOST: Final = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")


@dataclass(frozen=True, slots=True)
class Widget:
    """`origins` are those whose pages may show it; `greetings` are by language; the secret itself is kept nowhere."""

    is_on: bool = False
    takes_anonymous: bool = False
    shows_help: bool = False
    origins: tuple[str, ...] = ()
    theme: str = "auto"
    accent: str = DEFAULT_ACCENT
    greetings: Mapping[str, str] = field(default_factory=dict)
    has_secret: bool = False
    secret_made_at: datetime | None = None
    changed_at: datetime | None = None

    def allows(self, origin: str) -> bool:
        return any(_matches(pattern, origin) for pattern in self.origins)

    def greeting(self, language: str) -> str:
        return self.greetings.get(language) or self.greetings.get("en", "")


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody in front of the widget: a known contact, or a visitor whose contact is made with the first words."""

    org_id: UUID
    contact_id: UUID | None
    visitor: UUID | None
    proven_at: datetime
    expires_at: datetime

    @property
    def id(self) -> UUID:
        """Of the contact, or of the visitor."""
        found = self.contact_id or self.visitor
        if found is None:
            raise ValueError("a client is a contact or a visitor")
        return found

    @property
    def external_id(self) -> str | None:
        return None if self.visitor is None else f"{VISITOR}{self.visitor}"


def clean_origins(given: Sequence[str]) -> tuple[str, ...]:
    """Origins as browsers write them, each once; raises `Invalid(bad_widget)` naming each wrong one."""
    problems: list[FieldProblem] = []
    found: list[str] = []
    for text in given:
        origin = text.strip().lower().rstrip("/")
        if not origin:
            continue
        try:
            parts = urlsplit(origin)
            good = f"{parts.scheme}://{parts.netloc}" == origin and _is_host(parts.hostname, parts.port, parts.netloc)
        except ValueError:
            good = False
        if not good or parts.scheme not in {"http", "https"}:
            said = (
                f"{text.strip()[:80]!r} is no origin; write one like https://www.example.com or https://*.example.com"
            )
            problems.append(FieldProblem("origins", said))
        else:
            found.append(origin)
    if len(found) > MAX_ORIGINS:
        problems.append(FieldProblem("origins", f"more than {MAX_ORIGINS}; a * stands for all hosts below a domain"))
    if problems:
        raise wrong(problems)
    return tuple(dict.fromkeys(found))


def check_looks(*, theme: str, accent: str, greetings: Mapping[str, str]) -> None:
    """Raise `Invalid(bad_widget)` naming each wrong field."""
    problems = []
    if theme not in THEMES:
        problems.append(FieldProblem("theme", f"not one of {', '.join(THEMES)}"))
    if not _ACCENT.fullmatch(accent):
        problems.append(FieldProblem("accent", "must be a color like #3a5bc7, in small letters"))
    for language, text in greetings.items():
        if language not in SUPPORTED_LANGUAGES:
            problems.append(FieldProblem(f"greetings.{language}", f"not one of {', '.join(SUPPORTED_LANGUAGES)}"))
        if len(text) > MAX_GREETING:
            problems.append(FieldProblem(f"greetings.{language}", f"longer than {MAX_GREETING} characters"))
        if "\x00" in text:
            problems.append(FieldProblem(f"greetings.{language}", "holds a null character"))
    if problems:
        raise wrong(problems)


def wrong(problems: Sequence[FieldProblem]) -> Invalid:
    listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
    return Invalid(f"The widget's settings are wrong: {listed}.", code="bad_widget", fields=tuple(problems))


def _is_host(host: str | None, port: int | None, netloc: str) -> bool:
    if not host:
        return False
    shown = f"[{host}]" if ":" in host else host
    return bool(_HOST.fullmatch(shown)) and netloc == (shown if port is None else f"{shown}:{port}")


def _matches(pattern: str, origin: str) -> bool:
    scheme, _, host = pattern.partition("://")
    if not host.startswith("*."):
        return pattern == origin
    given, _, other = origin.partition("://")
    return given == scheme and other.endswith(host[1:]) and len(other) > len(host) - 1


def shown(widget: Widget) -> dict[str, Any]:
    """As API and command line answer it."""
    return {
        "is_on": widget.is_on,
        "takes_anonymous": widget.takes_anonymous,
        "shows_help": widget.shows_help,
        "origins": list(widget.origins),
        "theme": widget.theme,
        "accent": widget.accent,
        "greetings": dict(widget.greetings),
        "has_secret": widget.has_secret,
        "secret_made_at": widget.secret_made_at,
        "changed_at": widget.changed_at,
    }
