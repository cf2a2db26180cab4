"""Turns values into pages: Jinja2 with everything escaped, the security headers of a page, and words for figures.

The only HTML that is not escaped is what markdown-it makes of an article, which lets no HTML through.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from asoe.web import cookies, words
from asoe.web.assets import Assets
from asoe.web.flash import Flash

if TYPE_CHECKING:
    from asoe.web.door import Visit

TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_MIN_COMPRESSED: Final = 1024
_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").disable("image")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a page as it is for everybody who may see it, compressed as well when it is worth it."""

    body: bytes
    compressed: bytes | None


class Renderer:
    """One per process; templates are compiled once."""

    def __init__(self, assets: Assets, navigation: list[tuple[str, str, str, str]]) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals |= {
            "asset": assets.paths.__getitem__,
            "navigation": navigation,
            "words": words,
        }
        self._environment.filters |= {
            "label": words.label,
            "percent": words.percent,
            "size": words.size,
            "when": words.when,
            "iso": lambda at: at.astimezone(UTC).isoformat(timespec="seconds"),
            "markdown": markdown,
        }

    def respond(self, visit: Visit, template: str, status: int, values: Mapping[str, Any]) -> Response:
        principal = visit.sign_in.principal if visit.sign_in else None
        now = visit.desk.clock()
        html = self._environment.get_template(template).render(
            visit=visit,
            me=principal,
            organization=visit.sign_in.organization if visit.sign_in else "",
            csrf=cookies.csrf_token(visit.token) if visit.token else "",
            theme=cookies.theme_of(visit.request),
            flash=visit.flash,
            path=visit.request.url.path,
            ago=lambda at: words.ago(at, now),
            now=now,
            **values,
        )
        body = html.encode("utf-8", "replace")
        response = _response(visit.request, body, lambda: gzip.compress(body, 5, mtime=0), status)
        if visit.flash is not None and status == 200:
            Flash.drop(response)
        return response

    def part(self, template: str, now: datetime, values: Mapping[str, Any]) -> Part:
        """Render what many are shown; the template is told nothing of any visitor, and fails when it asks."""
        html = self._environment.get_template(template).render(ago=lambda at: words.ago(at, now), now=now, **values)
        body = html.encode("utf-8", "replace")
        return Part(body, gzip.compress(body, 5, mtime=0) if len(body) >= _MIN_COMPRESSED else None)

    def respond_part(self, visit: Visit, part: Part) -> Response:
        return _response(visit.request, part.body, lambda: part.compressed or b"", 200)

    def toast(self, status: int, text: str) -> Response:
        """An answer to htmx that changes nothing on the page and says why."""
        return Response(status_code=status, headers={"HX-Trigger": json.dumps({"toast": {"text": text}})})


def _response(request: Request, body: bytes, compressed: Callable[[], bytes], status: int) -> Response:
    headers = {
        "Content-Security-Policy": CSP,
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
        "Vary": "Accept-Encoding, Cookie, HX-Request",
    }
    if len(body) >= _MIN_COMPRESSED and "gzip" in request.headers.get("accept-encoding", ""):
        body = compressed()
        headers["Content-Encoding"] = "gzip"
    return Response(body, status, headers=headers, media_type="text/html; charset=utf-8")


def markdown(text: str) -> Markup:
    """An article's Markdown as HTML; raw HTML in it stays text, links lead only to http, https and mailto."""
    return Markup(_MARKDOWN.render(text))  # noqa: S704  # markdown-it escapes: html is off


def utc(at: datetime) -> datetime:
    return at.astimezone(UTC)
