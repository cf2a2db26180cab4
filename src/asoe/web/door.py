"""What every page goes through, in this order: who is signed in, may they, is the form ours, how often. Pages hold none of it.

Every error becomes a page in words here; to htmx it becomes a toast.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit
from uuid import UUID

import structlog
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from asoe.api import problems
from asoe.api.door import Gate
from asoe.api.permissions import ADMINS, STAFF
from asoe.api.throttle import Throttle
from asoe.desk.context import Desk
from asoe.domain.errors import Denied, FieldProblem, Invalid, Missing, Unavailable
from asoe.domain.organization import Principal
from asoe.store.sign_ins import SignIn
from asoe.web import cookies
from asoe.web.assets import Assets
from asoe.web.flash import Flash
from asoe.web.keep import Keep
from asoe.web.openid import OpenIdProvider
from asoe.web.render import Renderer
from asoe.web.together import Batch, Together

__all__ = ["ADMINS", "ANYBODY", "MEMBERS", "SIGNED_IN", "STAFF", "Page", "Pages", "Site", "Visit"]

MEMBERS: Final = frozenset({"owner", "admin", "agent", "client"})
SIGNED_IN: Final = frozenset({"signed in"})
"""Whoever is signed in, also before an organization is chosen."""
ANYBODY: Final = frozenset[str]()
MAX_FIELDS: Final = 400
_log = structlog.get_logger("asoe.web")

Handler = Callable[["Visit"], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """One route: who may, and what answers. A POST is refused without our token and origin."""

    method: str
    path: str
    roles: frozenset[str]
    handler: Handler
    max_files: int = 0
    is_open: bool = False
    """For anybody, from anywhere: nobody's sign-in is read and no cookie set, since other sites hold it in a frame."""


class Pages:
    """The routes of one module."""

    def __init__(self) -> None:
        self.routes: list[Page] = []

    def get(self, path: str, *, roles: frozenset[str] = STAFF) -> Callable[[Handler], Handler]:
        return self._route("GET", path, roles, 0)

    def open(self, path: str) -> Callable[[Handler], Handler]:
        def keep(handler: Handler) -> Handler:
            self.routes.append(Page("GET", path, ANYBODY, handler, is_open=True))
            return handler

        return keep

    def post(self, path: str, *, roles: frozenset[str] = STAFF, max_files: int = 0) -> Callable[[Handler], Handler]:
        return self._route("POST", path, roles, max_files)

    def _route(self, method: str, path: str, roles: frozenset[str], max_files: int) -> Callable[[Handler], Handler]:
        def keep(handler: Handler) -> Handler:
            self.routes.append(Page(method, path, roles, handler, max_files))
            return handler

        return keep


@dataclass(frozen=True, slots=True)
class Site:
    """What the pages need of the process; one per application."""

    gate: Gate
    assets: Assets
    renderer: Renderer
    addresses: Throttle
    accounts: Throttle
    sign_ins: Batch[str, SignIn]
    """Who is signed in, by token, as the database has it now."""
    keep: Keep = field(default_factory=Keep)
    together: Together = field(default_factory=Together)
    oidc: OpenIdProvider | None = None

    @property
    def desk(self) -> Desk:
        return self.gate.desk

    def is_secure(self, request: Request) -> bool:
        return (self.gate.settings.public_url or "").startswith("https://") or request.url.scheme == "https"


@dataclass(slots=True)
class Visit:
    """One request for a page, admitted."""

    site: Site
    request: Request
    token: str
    """Of the sign-in, or of the visit of somebody who is not signed in."""
    is_new: bool = False
    sign_in: SignIn | None = None
    form: FormData = field(default_factory=FormData)
    flash: Flash | None = None

    @property
    def desk(self) -> Desk:
        return self.site.desk

    @property
    def principal(self) -> Principal:
        """Who acts; there is one on every page but the public ones."""
        if self.sign_in is None or self.sign_in.principal is None:
            raise Denied("Sign in first.", code="not_signed_in", unproven=True)
        return self.sign_in.principal

    @property
    def is_htmx(self) -> bool:
        return self.request.headers.get("hx-request") == "true"

    @property
    def is_refresh(self) -> bool:
        """Whether a page on screen asks for a part of itself anew; what follows an act is a page of its own."""
        return self.is_htmx and self.request.headers.get("hx-boosted") != "true"

    def id(self, name: str, what: str = "thing") -> UUID:
        """An id of the path; one that is none is a thing that does not exist."""
        return self.uuid(self.request.path_params[name], what)

    def uuid(self, given: str, what: str = "thing") -> UUID:
        """An id that a field holds; one that is none is a thing that does not exist."""
        try:
            return UUID(given)
        except ValueError:
            raise Missing(f"There is no such {what} here.", code="missing") from None

    def text(self, name: str, default: str = "", *, most: int = 70_000) -> str:
        """A field of the form, or of the query on a GET."""
        source: Mapping[str, Any] = self.form if self.request.method == "POST" else self.request.query_params
        value = source.get(name, default)
        if isinstance(value, UploadFile):
            raise Invalid(f"{name}: send text, not a file.", code="invalid_request")
        if len(value) > most:
            raise Invalid(
                f"{name}: {len(value):,} characters; at most {most:,} are allowed.",
                code="invalid_request",
                fields=(FieldProblem(name, f"at most {most:,} characters"),),
            )
        return str(value).replace("\r\n", "\n")

    def texts(self, name: str) -> list[str]:
        source = self.form if self.request.method == "POST" else self.request.query_params
        return [str(value) for value in source.getlist(name) if not isinstance(value, UploadFile)]

    def number(self, name: str, default: int, *, low: int = 0, high: int = 2**31 - 1) -> int:
        given = self.text(name, "", most=20)
        if not given:
            return default
        if not given.isascii() or not given.isdigit() or not low <= int(given) <= high:
            raise Invalid(f"{name}: a whole number from {low} to {high} is wanted.", code="invalid_request")
        return int(given)

    def moment(self, name: str) -> datetime | None:
        """A time as our own links write it."""
        given = self.text(name, "", most=40)
        if not given:
            return None
        try:
            found = datetime.fromisoformat(given)
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            raise Invalid(f"{name}: this is no time of ours; start from the newest.", code="invalid_request")
        return found

    def page(self, template: str, status: int = 200, /, **values: Any) -> Response:
        """Render a page, or a part of one, for this visitor."""
        return self.site.renderer.respond(self, template, status, values)

    def back(self, path: str, said: str = "", *, undo: Mapping[str, Any] | None = None) -> Response:
        """Go to a page after a POST, with a toast there; `undo` is {path, fields} of the POST that takes it back."""
        response = RedirectResponse(path, 303)
        if said:
            Flash(said, dict(undo) if undo else None).keep(
                response, self.token, secure=self.site.is_secure(self.request)
            )
        return response


def endpoint(site: Site, page: Page) -> Callable[[Request], Awaitable[Response]]:
    """The handler of a route, behind the door."""

    async def answer(request: Request) -> Response:
        request.scope["route"] = page
        visit = Visit(site, request, token="")
        try:
            if not page.is_open:
                await _admit(visit, page)
            response = await page.handler(visit)
        except Exception as error:
            response = _refuse(visit, error)
        await visit.form.close()
        if visit.is_new and visit.token:
            cookies.set_visit(response, visit.token, secure=site.is_secure(request))
        return response

    return answer


async def _admit(visit: Visit, page: Page) -> None:
    request, site = visit.request, visit.site
    secure = site.is_secure(request)
    token = cookies.read_sign_in(request, secure=secure)
    if token:
        visit.sign_in = await site.sign_ins.ask(token)
    if visit.sign_in is not None:
        visit.token = token
        if not visit.is_refresh:
            visit.flash = Flash.read(request, token)
    else:
        visit.token = cookies.read_visit(request, secure=secure)
        if not visit.token:
            visit.token, visit.is_new = cookies.new_visit(), True
    if page.method == "POST" and not cookies.is_same_origin(request, site.gate.settings.public_url):
        raise Denied("This form was not sent from our own pages.", code="foreign_origin")
    if page.roles != ANYBODY and visit.sign_in is None:
        raise Denied("Sign in first.", code="not_signed_in", unproven=True)
    if page.method == "POST":
        visit.form = await request.form(max_files=page.max_files, max_fields=MAX_FIELDS, max_part_size=256 * 1024)
        given = request.headers.get("x-csrf-token") or str(visit.form.get("_csrf", ""))
        if not cookies.is_csrf_token(given, visit.token):
            raise Denied("This page is out of date. Go back, reload it, and try again.", code="bad_csrf_token")
    if visit.sign_in is None or page.roles == ANYBODY:
        return
    allowance = site.gate.callers.hit(visit.sign_in.user_id)
    if allowance.is_spent:
        raise Unavailable(
            f"Too many requests. Wait {allowance.retry_after} s.",
            code="rate_limited",
            retry_after=allowance.retry_after,
            throttled=True,
        )
    if page.roles == SIGNED_IN:
        return
    if visit.sign_in.principal is None:
        raise Denied("Choose an organization first.", code="no_organization_chosen", unproven=True)
    request.scope["asoe.call"] = visit
    if visit.principal.role not in page.roles:
        words = "Only an owner or admin may see this." if page.roles == ADMINS else "This page is for the support team."
        raise Denied(words, code="role_not_permitted")


def _refuse(visit: Visit, error: Exception) -> Response:
    request = visit.request
    problem = problems.problem_of(error)
    if problem is None or problem.status >= 500:
        from asoe.api.door import refuse

        refuse(error, request.scope)  # logs it with the request's id
    if problem is None:
        problem = problems.unexpected(str(request.scope.get("asoe.request_id", "")))
    request.scope["asoe.code"] = problem.code
    if isinstance(error, Denied) and error.unproven and error.code != "bad_credentials":
        return _to_door(visit, error)
    if visit.is_htmx:
        return visit.site.renderer.toast(problem.status, problem.detail)
    return visit.page("error.html", problem.status, problem=problem)


def _to_door(visit: Visit, error: Denied) -> Response:
    """To the sign-in, or the choice of an organization, and back to where the visitor wanted to go."""
    request = visit.request
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    following = f"?next={quote(wanted)}" if request.method == "GET" and wanted != "/" else ""
    door = "/organizations" if error.code == "no_organization_chosen" else "/sign-in"
    if _is_stream(request):
        return Response(status_code=401)
    if visit.is_htmx:
        return Response(status_code=401, headers={"HX-Redirect": door})
    return RedirectResponse(door + following, 303)


def _is_stream(request: Request) -> bool:
    return request.url.path.startswith("/live")


def safe_next(wanted: str) -> str:
    """A path of ours to go on to; anything else is the first page."""
    parts = urlsplit(wanted)
    if parts.scheme or parts.netloc or not wanted.startswith("/") or wanted.startswith(("//", "/\\", "/sign-", "/api")):
        return "/"
    return wanted if wanted.isprintable() and "\\" not in wanted else "/"
