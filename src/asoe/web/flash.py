"""One sentence that outlives a redirect, with the POST that would take the act back. Signed with the sign-in's token."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from asoe.web import cookies

_NAME: Final = "asoe_flash"
_SECONDS: Final = 30
_MOST: Final = 3500


@dataclass(frozen=True, slots=True)
class Flash:
    """`undo` is {"path": …, "fields": [[name, value], …]}."""

    text: str
    undo: dict[str, Any] | None = None

    def keep(self, response: Response, token: str, *, secure: bool) -> None:
        body = base64.urlsafe_b64encode(json.dumps([self.text, self.undo]).encode()).decode()
        if len(body) > _MOST:  # more than a cookie holds: say it without the way back
            body = base64.urlsafe_b64encode(json.dumps([self.text[:500], None]).encode()).decode()
        response.set_cookie(
            _NAME,
            f"{body}.{cookies.sign(body, token)}",
            max_age=_SECONDS,
            path="/",
            secure=secure,
            httponly=True,
            samesite="lax",
        )

    @staticmethod
    def read(request: Request, token: str) -> Flash | None:
        body, _, signature = request.cookies.get(_NAME, "").partition(".")
        if not body or not hmac.compare_digest(signature.encode(), cookies.sign(body, token).encode()):
            return None
        text, undo = json.loads(base64.urlsafe_b64decode(body))
        return Flash(text, undo)

    @staticmethod
    def drop(response: Response) -> None:
        response.delete_cookie(_NAME, path="/")
