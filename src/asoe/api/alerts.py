"""Routes on alerts: where monitoring systems send them, and the sources an organization lets in. Bodies are read as their products write them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.door import Door, call_of, gate_of
from asoe.api.encoding import reply
from asoe.api.schemas import Body
from asoe.desk.incident import alerting
from asoe.desk.incident.alerting import NewSource
from asoe.domain.alert import Alert, fingerprint_of
from asoe.domain.errors import Denied, FieldProblem, Invalid
from asoe.store.alerts import Source

router = APIRouter(route_class=Door, tags=["alerts"])
_Kind = Literal["alertmanager", "grafana", "generic"]
_Proof = Literal["bearer", "hmac", "standard"]
_MOST_TEXT: Final = 200
_FIRST_YEAR: Final = 1970


class SourceIn(Body):
    """Alertmanager can send a bearer token, Grafana a bearer token or an HMAC, your own programs any of the three."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    kind: _Kind
    proof: _Proof


class SourceOut(Answer):
    """`path` is where it sends to; `secret` is shown once."""

    id: UUID
    name: str
    kind: _Kind
    proof: _Proof
    path: str
    created_by: UUID | None
    created_at: datetime
    secret: str | None = None


class SourcePage(Answer):
    items: list[SourceOut]


class ReceivedOut(Answer):
    """`old`: told before, or of an episode that is over."""

    fired: int
    over: int
    old: int
    ignored: int


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Sent(_Loose):
    """One alert as Alertmanager and Grafana write it."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    startsAt: AwareDatetime  # noqa: N815  # their spelling
    endsAt: AwareDatetime | None = None  # noqa: N815
    fingerprint: Annotated[str, StringConstraints(max_length=200)] = ""


class _Group(_Loose):
    groupKey: Annotated[str, StringConstraints(max_length=4000)] = ""  # noqa: N815
    alerts: list[_Sent]


class _Own(_Loose):
    """One alert as any program may write it."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    status: Literal["firing", "resolved"]
    starts_at: AwareDatetime
    ends_at: AwareDatetime | None = None
    title: str = ""
    labels: dict[str, str] = Field(default_factory=dict)


class _Owns(_Loose):
    alerts: list[_Own]


@router.post(
    "/api/alerts/{org}/{source_id}",
    response_model=ReceivedOut,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {"401": {"description": "The source's proof is missing or wrong."}},
    },
)
async def receive(request: Request, org: str, source_id: UUID) -> Response:
    """Where a monitoring system sends its alerts; the source's secret is its proof (docs/alerts.md). Told twice is told once."""
    gate = gate_of(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        found = await alerting.receive(
            gate.desk, org, source_id, headers=headers, body=await request.body(), read=read_alerts
        )
    except Denied:
        gate.count_stranger(request)
        raise
    return reply({"fired": found.fired, "over": found.over, "old": found.old, "ignored": found.ignored})


@router.get("/api/alert-sources", response_model=SourcePage)
async def list_sources(request: Request) -> Response:
    """The monitoring systems that may send alerts."""
    call = call_of(request)
    found = await alerting.list_sources(call.desk, call.principal)
    return reply({"items": [_shown(each, call.principal.org_id) for each in found]})


@router.post("/api/alert-sources", response_model=SourceOut, status_code=201)
async def add_source(request: Request, body: SourceIn) -> Response:
    """Let a monitoring system send alerts; its secret is in this answer only."""
    call = call_of(request)
    made = await alerting.add_source(call.acting, call.principal, name=body.name, kind=body.kind, proof=body.proof)
    return reply(_new(made, call.principal.org_id), 201)


@router.post("/api/alert-sources/{source_id}/rotate", response_model=SourceOut)
async def rotate(request: Request, source_id: UUID) -> Response:
    """Make a new secret; the old one holds for one more day."""
    call = call_of(request)
    return reply(_new(await alerting.rotate(call.acting, call.principal, source_id), call.principal.org_id))


@router.delete("/api/alert-sources/{source_id}", status_code=204)
async def remove_source(request: Request, source_id: UUID) -> Response:
    """Let it send no more; incidents it opened stay."""
    call = call_of(request)
    await alerting.remove_source(call.acting, call.principal, source_id)
    return Response(status_code=204)


def read_alerts(kind: str, body: bytes) -> Sequence[Alert]:
    """A body as its product writes it; raises `Invalid(bad_alert)` naming each wrong field."""
    try:
        if kind == "generic":
            return [
                Alert(
                    fingerprint=each.id,
                    is_firing=each.status == "firing",
                    starts_at=each.starts_at.astimezone(UTC),
                    ends_at=_end(each.ends_at),
                    title=_clean(each.title),
                    labels=_labels(each.labels),
                )
                for each in _Owns.model_validate_json(body).alerts
            ]
        group = _Group.model_validate_json(body)
        return [_sent(each, group.groupKey) for each in group.alerts]
    except ValidationError as error:
        problems = tuple(
            FieldProblem(".".join(map(str, each["loc"])) or "body", each["msg"]) for each in error.errors()[:20]
        )
        listed = "; ".join(f"{each.field}: {each.problem}" for each in problems[:3])
        raise Invalid(f"This is no message of {kind}: {listed}.", code="bad_alert", fields=problems) from None
    except OverflowError:
        raise Invalid("A time is out of range.", code="bad_alert") from None


def _sent(each: _Sent, group: str) -> Alert:
    labels = _labels(each.labels)
    name = labels.get("alertname", "")
    return Alert(
        fingerprint=each.fingerprint or fingerprint_of(labels),
        is_firing=each.status == "firing",
        starts_at=each.startsAt.astimezone(UTC),
        ends_at=_end(each.endsAt),
        title=_clean(each.annotations.get("summary") or name),
        labels=labels,
        group=group or name,
    )


def _end(at: datetime | None) -> datetime | None:
    """The zero time of Go means that there is none."""
    return None if at is None or at.year < _FIRST_YEAR else at.astimezone(UTC)


def _labels(given: dict[str, str]) -> dict[str, str]:
    return {_clean(name): _clean(value) for name, value in given.items()}


def _clean(text: str) -> str:
    """As the database can keep it."""
    return " ".join(text.replace("\x00", "").encode("utf-8", "replace").decode().split())[:_MOST_TEXT]


def _shown(value: Source, org_id: UUID) -> dict[str, Any]:
    return {
        "id": value.id,
        "name": value.name,
        "kind": value.kind,
        "proof": value.proof,
        "path": f"/api/alerts/{org_id}/{value.id}",
        "created_by": value.created_by,
        "created_at": value.created_at,
        "secret": None,
    }


def _new(made: NewSource, org_id: UUID) -> dict[str, Any]:
    return {**_shown(made.source, org_id), "secret": made.secret}
