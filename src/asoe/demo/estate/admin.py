"""The door for breaking the estate: its own token, under /admin, in no product document. Only demos and measurements use it."""

# no postponed annotations here: FastAPI must see the dependencies that are made inside functions
import secrets
from typing import Annotated, Literal

from fastapi import Depends, FastAPI
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import Field

from asoe.demo.estate import breaking
from asoe.demo.estate.background import settle
from asoe.demo.estate.faults import FAULTS
from asoe.demo.estate.models import Shape
from asoe.demo.estate.store import Store


class Break(Shape):
    fault: str
    account_id: str


class Breakage(Shape):
    fault: str
    account_id: str
    items: dict[str, str]
    facts: dict[str, str]


class Fail(Shape):
    """Fail the next `calls` to a path (which may end in `*`)."""

    method: str = "*"
    path: str
    mode: Literal["before", "after", "drop_before", "drop_after", "delay"]
    calls: Annotated[int, Field(ge=1)] = 1
    seconds: Annotated[float, Field(ge=0, le=60)] = 0.0


class Tick(Shape):
    seconds: Annotated[float, Field(ge=0)] = 0.0


def build_admin(store: Store, token: str) -> FastAPI:
    """The administration's API over the store."""

    async def admin(
        given: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))],
    ) -> None:
        if given is None or not secrets.compare_digest(given.credentials.encode(), token.encode()):
            raise _NotAdmin

    app = FastAPI(title="Estate administration", openapi_url=None, dependencies=[Depends(admin)])

    async def not_admin(_request: object, _error: Exception) -> JSONResponse:
        return JSONResponse({"error": "The administration's token is needed."}, 401)

    async def not_possible(_request: object, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 409)

    app.add_exception_handler(_NotAdmin, not_admin)
    app.add_exception_handler(breaking.NotBreakable, not_possible)

    @app.get("/admin/faults")
    async def faults() -> list[str]:
        return sorted(FAULTS)

    @app.post("/admin/break")
    async def break_one(wanted: Break) -> Breakage:
        made = breaking.break_it(store, wanted.fault, wanted.account_id)
        return Breakage(fault=made.fault, account_id=made.account_id, items=made.items, facts=made.facts)

    @app.post("/admin/mended")
    async def mended(told: Breakage) -> dict[str, bool]:
        return {"mended": breaking.is_mended(store, breaking.Breakage(**told.model_dump()))}

    @app.post("/admin/fail")
    async def fail(wanted: Fail) -> dict[str, int]:
        return {"id": store.plan_failure(**wanted.model_dump())}

    @app.delete("/admin/fail")
    async def forget() -> dict[str, bool]:
        store.forget_failures()
        return {"forgotten": True}

    @app.post("/admin/tick")
    async def tick(wanted: Tick) -> dict[str, str]:
        """Move the clock and let all work under way come to its end."""
        now = store.move_clock(wanted.seconds)
        settle(store)
        return {"now": now}

    return app


class _NotAdmin(Exception):
    pass
