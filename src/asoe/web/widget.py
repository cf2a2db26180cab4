"""The chat's frame, which other sites hold, the script that puts it there, and how owners and admins set it up."""

from __future__ import annotations

import hashlib
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from asoe.desk import widget
from asoe.desk.widget import WidgetChange
from asoe.domain.errors import AsoeError
from asoe.domain.policy import SUPPORTED_LANGUAGES
from asoe.domain.widget import THEMES
from asoe.store import organizations
from asoe.web.assets import Assets
from asoe.web.door import ADMINS, Pages, Visit
from asoe.web.settings import TABS

pages = Pages()
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'; form-action 'none'; base-uri 'none'; frame-ancestors {}"
)
SCRIPT: Final = "/widget.js"
_SCRIPT_FRESH: Final = "public, max-age=300"


@pages.open("/widget/{org}")
async def show_frame(visit: Visit) -> Response:
    """The chat itself. Only pages of the allowed origins, and our own, may hold it."""
    fronts, request = visit.site.gate.fronts, visit.request
    front = await fronts.shown(request.path_params["org"])
    holder = "/".join(request.headers.get("referer", "").split("/", 3)[:3]).lower()
    if holder and not fronts.is_ours(holder, request.headers.get("host", "")) and not front.widget.allows(holder):
        fronts.note_stranger(front, holder)  # the browser refuses to show it there, and tells nobody why
    response = visit.page("widget.html", org=front.slug, name=front.name, language=front.language)
    response.headers["Content-Security-Policy"] = CSP.format(" ".join(("'self'", *front.widget.origins)))
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def script(assets: Assets, request: Request) -> Response:
    """The loader, at an address that stays: pages of others name it."""
    response = assets.respond(request, assets.paths["widget.js"].rpartition("/")[2]) or Response(status_code=404)
    tag = f'"{hashlib.sha256(assets.paths["widget.js"].encode()).hexdigest()[:16]}"'
    headers = {
        "Cache-Control": _SCRIPT_FRESH,
        "Cross-Origin-Resource-Policy": "cross-origin",
        "ETag": tag,
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response


@pages.get("/settings/widget", roles=ADMINS)
async def show_settings(visit: Visit) -> Response:
    return await _settings(visit)


@pages.post("/settings/widget", roles=ADMINS)
async def save_settings(visit: Visit) -> Response:
    change = WidgetChange(
        is_on=bool(visit.text("is_on")),
        takes_anonymous=bool(visit.text("takes_anonymous")),
        shows_help=bool(visit.text("shows_help")),
        origins=visit.text("origins", most=10_000).split(),
        theme=visit.text("theme", "auto", most=10),
        accent=visit.text("accent", most=10),
        greetings={each: visit.text(f"greeting.{each}", most=1000) for each in SUPPORTED_LANGUAGES},
    )
    try:
        await widget.change_widget(visit.desk, visit.principal, change)
    except AsoeError as error:
        return await _settings(visit, problem=error, given=change)
    visit.site.gate.fronts.forget(visit.principal.org_id)
    return visit.back("/settings/widget", "Saved. Pages that are open see it when they are loaded again.")


@pages.post("/settings/widget/secret", roles=ADMINS)
async def make_secret(visit: Visit) -> Response:
    """The secret is shown this once."""
    made = await widget.make_secret(visit.desk, visit.principal, ends_earlier=bool(visit.text("ends_earlier")))
    return await _settings(visit, secret=made.secret)


async def _settings(
    visit: Visit, *, problem: AsoeError | None = None, secret: str = "", given: WidgetChange | None = None
) -> Response:
    found = await widget.read_widget(visit.desk, visit.principal)
    async with visit.desk.database.org_reading(visit.principal) as connection:
        organization = await organizations.read_organization(connection, visit.principal.org_id)
    base = (visit.site.gate.settings.public_url or str(visit.request.base_url)).rstrip("/")
    return visit.page(
        "widget_settings.html",
        422 if problem else 200,
        tabs=TABS,
        shown=given or found,
        widget=found,
        problem=problem,
        secret=secret,
        themes=THEMES,
        languages=SUPPORTED_LANGUAGES,
        tag=f'<script src="{base}{SCRIPT}" data-org="{organization.slug}" async></script>',
        help_address=f"{base}/help/{quote(organization.slug)}",
    )
