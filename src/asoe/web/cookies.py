"""The cookies of the dashboard and the token that forms carry: bound to the sign-in, masked anew in every page."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

THEMES: Final = ("light", "dark")
_SIGN_IN: Final = "asoe_sign_in"
_VISIT: Final = "asoe_visit"
_TOKEN: Final = re.compile(r"^[A-Za-z0-9_-]{43}$", re.ASCII)


def read_sign_in(request: Request, *, secure: bool) -> str:
    return _read(request, _SIGN_IN, secure=secure)


def set_sign_in(response: Response, token: str, *, secure: bool, seconds: int) -> None:
    response.set_cookie(
        named(_SIGN_IN, secure=secure), token, max_age=seconds, path="/", secure=secure, httponly=True, samesite="lax"
    )


def drop_sign_in(response: Response, *, secure: bool) -> None:
    response.delete_cookie(named(_SIGN_IN, secure=secure), path="/", secure=secure, httponly=True, samesite="lax")


def read_visit(request: Request, *, secure: bool) -> str:
    return _read(request, _VISIT, secure=secure)


def new_visit() -> str:
    return secrets.token_urlsafe(32)


def set_visit(response: Response, token: str, *, secure: bool) -> None:
    response.set_cookie(named(_VISIT, secure=secure), token, path="/", secure=secure, httponly=True, samesite="lax")


def theme_of(request: Request) -> str:
    """The theme somebody chose, or "" for the system's."""
    wanted = request.cookies.get("asoe_theme", "")
    return wanted if wanted in THEMES else ""


def csrf_token(token: str) -> str:
    """A token for one page. The mask keeps compression from telling it, letter by letter."""
    secret = _secret(token)
    mask = secrets.token_bytes(len(secret))
    masked = bytes(left ^ right for left, right in zip(mask, secret, strict=True))
    return base64.urlsafe_b64encode(mask + masked).decode()


def is_csrf_token(given: str, token: str) -> bool:
    try:
        raw = base64.urlsafe_b64decode(given.encode("ascii"))
    except (ValueError, UnicodeEncodeError):
        return False
    secret = _secret(token)
    if not token or len(raw) != 2 * len(secret):
        return False
    half = len(secret)
    plain = bytes(left ^ right for left, right in zip(raw[:half], raw[half:], strict=True))
    return hmac.compare_digest(plain, secret)


def is_same_origin(request: Request, public_url: str | None) -> bool:
    """Whether the browser says that one of our own pages sent this; one that says nothing is not believed."""
    ours = {request.headers.get("host", "").lower(), urlsplit(public_url or "").netloc.lower()} - {""}
    origin = request.headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() in ours
    if (site := request.headers.get("sec-fetch-site")) is not None:
        return site == "same-origin"
    return urlsplit(request.headers.get("referer", "")).netloc.lower() in ours


def sign(text: str, token: str) -> str:
    return hmac.new(token.encode(), b"flash\0" + text.encode(), hashlib.sha256).hexdigest()


def _secret(token: str) -> bytes:
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).digest()


def _read(request: Request, name: str, *, secure: bool) -> str:
    value = request.cookies.get(named(name, secure=secure), "")
    return value if _TOKEN.match(value) else ""


def named(name: str, *, secure: bool) -> str:
    """Bound to this host where that is possible: another host's page cannot set it then."""
    return f"__Host-{name}" if secure else name
