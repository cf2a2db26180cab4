"""The estate's HTTP face: a list and a single read for each kind, one path for each mending operation, and a log of effects.

Built from `models.KINDS` and `operations.OPERATIONS`, so that the OpenAPI document says exactly what is served.
"""

# no postponed annotations here: FastAPI must see the dependencies that are made inside functions
import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from asoe.demo.estate.background import beat
from asoe.demo.estate.models import KINDS, PLANS, Plan, Shape
from asoe.demo.estate.operations import OPERATIONS, Operation, Refused
from asoe.demo.estate.store import Item, Replay, Store
from asoe.demo.estate.views import show

ItemT = TypeVar("ItemT")

MAX_LIMIT: Final = 100


class Problem(Shape):
    code: str
    message: str
    field: str | None


class Answer(Shape):
    """Every answer that is no success."""

    error: Problem


class Page(Shape, Generic[ItemT]):
    items: list[ItemT]
    next_cursor: str | None


class EffectView(Shape):
    """An accepted write. `changed` is false when things already were as asked."""

    id: int
    at: str
    actor: str
    operation: str
    kind: str
    item_id: str
    account_id: str
    idempotency_key: str | None
    changed: bool


_ItemId = Annotated[str, Path(max_length=40)]
_AccountId = Annotated[str | None, Query(max_length=40, description="Only items of this account.")]
_Email = Annotated[str | None, Query(max_length=254, description="Only with this e-mail address.")]
_Cursor = Annotated[str | None, Query(max_length=40, description="`next_cursor` of the page before.")]
_Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
_Key = Header(
    alias="Idempotency-Key",
    pattern=r"^[A-Za-z0-9_.:-]{8,200}$",
    description="The same key and request answer the first result again; the same key with another request answers 409.",
)
_BEARER: Final = HTTPBearer(auto_error=False, description="An operator may read and write, a reader may read.")


def build_api(store: Store, tokens: dict[str, str]) -> FastAPI:
    """The product's API over a store; `tokens` maps a token to the actor `operator` or `reader`."""
    app = FastAPI(
        title="Estate",
        version="1",
        summary="The back office of a made-up SaaS company.",
        description="Reads tell the present state. Work that a write starts goes on afterwards: read the item again to see its end.",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses={
            401: {"model": Answer, "description": "No token, or an unknown one."},
            422: {"model": Answer, "description": "A field is missing or wrong."},
            503: {
                "model": Answer,
                "description": "Out of order for the moment; whether a write took effect is unknown.",
            },
        },
    )

    async def actor(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> str:
        known = None if credentials is None else tokens.get(credentials.credentials)
        if known is None:
            raise _Problem(401, "unauthorized", "Send a known token as `Authorization: Bearer …`.")
        return known

    async def writer(who: Annotated[str, Depends(actor)]) -> str:
        if who != "operator":
            raise _Problem(403, "read_only", "This token may only read.")
        return who

    _offer_plans(app, actor)
    _offer_effects(app, store, actor)
    for kind in KINDS:
        _offer_reads(app, store, kind, actor)
    for operation in OPERATIONS.values():
        _offer_write(app, store, operation, writer)
    _answer_errors(app)
    return app


class _Problem(Exception):
    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field

    def answer(self) -> JSONResponse:
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else None
        problem = {"code": self.code, "message": self.message, "field": self.field}
        return JSONResponse({"error": problem}, self.status, headers)


def _answer_errors(app: FastAPI) -> None:
    async def of_problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, _Problem)
        return error.answer()

    async def of_refusal(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return _Problem(error.status, error.code, error.message).answer()

    async def of_input(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        return _Problem(422, "invalid", f"{field}: {first['msg']}.", field).answer()

    async def of_routing(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 400:  # a body that is no JSON
            return _Problem(422, "invalid", f"{error.detail}.", "body").answer()
        code = {404: "unknown_path", 405: "method_not_allowed"}.get(error.status_code, "refused")
        answer = _Problem(error.status_code, code, f"{error.detail}.").answer()
        answer.headers.update(error.headers or {})
        return answer

    app.add_exception_handler(_Problem, of_problem)
    app.add_exception_handler(Refused, of_refusal)
    app.add_exception_handler(RequestValidationError, of_input)
    app.add_exception_handler(HTTPException, of_routing)


def _offer_plans(app: FastAPI, actor: Callable[..., Awaitable[str]]) -> None:
    async def plans(_who: Annotated[str, Depends(actor)]) -> Page[Plan]:
        return Page[Plan](items=list(PLANS.values()), next_cursor=None)

    app.add_api_route("/v1/plans", plans, name="plans.list", operation_id="plans.list", summary="What can be bought.")


def _offer_effects(app: FastAPI, store: Store, actor: Callable[..., Awaitable[str]]) -> None:
    async def effects(
        _who: Annotated[str, Depends(actor)],
        account_id: _AccountId = None,
        idempotency_key: Annotated[str | None, Query(max_length=200)] = None,
        cursor: Annotated[int, Query(ge=0, le=2**53, description="`next_cursor` of the page before.")] = 0,
        limit: _Limit = 50,
    ) -> Page[EffectView]:
        found = store.effects(account_id=account_id, key=idempotency_key, after=cursor)
        shown = [
            EffectView(
                id=effect.id,
                at=effect.at,
                actor=effect.actor,
                operation=effect.operation,
                kind=effect.kind,
                item_id=effect.item_id,
                account_id=effect.account_id,
                idempotency_key=effect.idempotency_key,
                changed=bool(effect.changes),
            )
            for effect in found[:limit]
        ]
        return Page[EffectView](items=shown, next_cursor=str(shown[-1].id) if len(found) > limit else None)

    app.add_api_route(
        "/v1/effects",
        effects,
        name="effects.list",
        operation_id="effects.list",
        summary="Accepted writes, oldest first; with `idempotency_key`, what became of a write whose answer was lost.",
    )


def _offer_reads(app: FastAPI, store: Store, kind: str, actor: Callable[..., Awaitable[str]]) -> None:
    shown = KINDS[kind].shown
    name = kind.replace("-", "_")
    has_email = "email" in shown.model_fields
    has_account = "account_id" in shown.model_fields

    def page(items: list[Item], cursor: str | None, limit: int) -> JSONResponse:
        rest = [item for item in items if cursor is None or item["id"] > cursor]
        answer = {
            "items": [show(kind, item) for item in rest[:limit]],
            "next_cursor": rest[limit - 1]["id"] if len(rest) > limit else None,
        }
        _move(store, kind, [item["id"] for item in rest[:limit]])
        return JSONResponse(answer)

    def wanted(account_id: str | None, email: str | None) -> list[Item]:
        if email is not None:
            return [item for item in store.find_by_email(kind, email) if account_id in {None, item.get("account_id")}]
        return store.find(kind, account_id=account_id)

    async def list_both(
        _who: Annotated[str, Depends(actor)],
        account_id: _AccountId = None,
        email: _Email = None,
        cursor: _Cursor = None,
        limit: _Limit = 50,
    ) -> Response:
        return page(wanted(account_id, email), cursor, limit)

    async def list_by_email(
        _who: Annotated[str, Depends(actor)], email: _Email = None, cursor: _Cursor = None, limit: _Limit = 50
    ) -> Response:
        return page(wanted(None, email), cursor, limit)

    async def list_by_account(
        _who: Annotated[str, Depends(actor)],
        account_id: _AccountId = None,
        cursor: _Cursor = None,
        limit: _Limit = 50,
    ) -> Response:
        return page(wanted(account_id, None), cursor, limit)

    async def read(_who: Annotated[str, Depends(actor)], item_id: _ItemId) -> Response:
        item = store.get(kind, item_id)
        if item is None:
            raise _Problem(404, "unknown_item", f"There is no {item_id} among the {kind}.")
        answer = JSONResponse(show(kind, item))
        _move(store, kind, [item_id])
        return answer

    lister: Callable[..., Awaitable[Response]] = list_by_email
    if has_account:
        lister = list_both if has_email else list_by_account
    about = KINDS[kind].about
    app.add_api_route(
        f"/v1/{kind}",
        lister,
        response_model=Page[shown],  # type: ignore[valid-type]  # made from the table of kinds
        name=f"{name}.list",
        operation_id=f"{name}.list",
        summary=about,
        tags=[kind],
    )
    app.add_api_route(
        f"/v1/{kind}/{{item_id}}",
        read,
        response_model=shown,
        responses={404: {"model": Answer, "description": "There is none."}},
        name=f"{name}.read",
        operation_id=f"{name}.read",
        summary=f"One of: {about[0].lower()}{about[1:]}",
        tags=[kind],
    )


def _move(store: Store, kind: str, ids: list[str]) -> None:
    """Work under way goes on by one beat after each look at it."""
    moving = [item_id for item_id in ids if store.beats(kind, item_id) > 0]
    if moving:
        with store.transaction():
            for item_id in moving:
                beat(store, kind, item_id)


def _offer_write(app: FastAPI, store: Store, operation: Operation, writer: Callable[..., Awaitable[str]]) -> None:
    async def endpoint(**given: Any) -> Response:
        return _carry_out(store, operation, **given)

    endpoint.__signature__ = _signature(operation, writer)  # type: ignore[attr-defined]  # read by FastAPI
    path = operation.path.replace("{id}", "{item_id}")
    answers = KINDS[operation.answers].shown
    responses: dict[int | str, dict[str, Any]] = {
        403: {"model": Answer, "description": "The token may only read."},
        409: {
            "model": Answer,
            "description": "The state of things forbids it, or the key was used for another request.",
        },
    }
    if operation.kind is not None:
        responses[404] = {"model": Answer, "description": "There is none."}
    app.add_api_route(
        path,
        endpoint,
        methods=[operation.method],
        status_code=operation.status,
        response_model=answers,
        responses=responses,
        name=operation.name,
        operation_id=operation.name,
        summary=operation.about,
        tags=[operation.kind or operation.answers],
    )


def _signature(operation: Operation, writer: Callable[..., Awaitable[str]]) -> inspect.Signature:
    """What FastAPI reads: the item's id, the body and the key, as far as the operation has them."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    key: Any = Annotated[str, _Key] if operation.needs_key else Annotated[str | None, _Key]
    parameters = [inspect.Parameter("who", keyword, annotation=Annotated[str, Depends(writer)])]
    if operation.kind is not None:
        parameters.append(inspect.Parameter("item_id", keyword, annotation=_ItemId))
    if operation.body is not None:
        parameters.append(inspect.Parameter("body", keyword, annotation=operation.body))
    default = inspect.Parameter.empty if operation.needs_key else None
    parameters.append(inspect.Parameter("idempotency_key", keyword, annotation=key, default=default))
    return inspect.Signature(parameters)


def _carry_out(
    store: Store,
    operation: Operation,
    *,
    who: str,
    idempotency_key: str | None,
    item_id: str | None = None,
    body: Shape | None = None,
) -> Response:
    """One write: replay, or act, log and remember in one transaction."""
    key = idempotency_key
    request = {} if body is None else body.model_dump()
    fingerprint = _fingerprint(operation, item_id, request)
    with store.transaction():
        before = None if key is None else store.recall(who, key)
        if before is not None:
            if before.fingerprint != fingerprint:
                raise _Problem(409, "key_reused", "This idempotency key was used for another request.")
            return JSONResponse(before.answer, before.status, {"Idempotent-Replay": "true"})
        item: Item = {}
        if operation.kind is not None:
            found = store.get(operation.kind, item_id or "")
            if found is None:
                raise _Problem(404, "unknown_item", f"There is no {item_id} among the {operation.kind}.")
            item = found
        made = operation.act(store, item, body)
        answer = show(operation.answers, made)
        effect = store.log_effect(
            actor=who,
            operation=operation.name,
            kind=operation.kind or operation.answers,
            item_id=item_id or made["id"],
            account_id=str(made.get("account_id", made["id"])),
            key=key,
            request={name: "…" if name == "pin" else value for name, value in request.items()},
        )
        if key is not None:
            store.remember(who, key, Replay(fingerprint, operation.status, answer, effect))
    return JSONResponse(answer, operation.status)


def _fingerprint(operation: Operation, item_id: str | None, request: dict[str, Any]) -> str:
    said = json.dumps([operation.name, item_id, request], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
