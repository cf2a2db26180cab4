"""Every error becomes a problem document (RFC 9457) here, once. docs/api/errors.md lists the codes.

What a caller may read is decided here too: an unexpected error says an id and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import asyncpg
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from asoe.domain.errors import AsoeError, Conflict, Denied, FieldProblem, Invalid, Missing, Unavailable

MEDIA_TYPE: Final = "application/problem+json"
_MAX_FIELDS: Final = 50

_HTTP_CODES: Final = {
    400: ("malformed_request", "The request cannot be read."),
    404: ("no_such_route", "There is nothing at this path. GET /openapi.json lists what there is."),
    405: ("method_not_allowed", "This path does not take this method; the header Allow lists those it takes."),
    413: ("too_large", "The request is larger than this route takes."),
    415: ("wrong_media_type", "Send application/json, a file as multipart/form-data, a mail as message/rfc822."),
}

_RETRY: Final = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
)
_AWAY: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection torn in the middle of something
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    OSError,
    TimeoutError,
)


class TooLarge(HTTPException):
    """The body is past the route's limit; raised while it is read, so that the rest never is."""

    def __init__(self) -> None:
        super().__init__(413)


class WrongMediaType(HTTPException):
    """The body is not what the route takes."""

    def __init__(self) -> None:
        super().__init__(415)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is sent for an error; `errors` names each wrong field."""

    status: int
    code: str
    detail: str
    errors: Sequence[FieldProblem] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def problem_of(error: BaseException) -> Problem | None:
    """The problem an error stands for; None for one that nobody foresaw."""
    if isinstance(error, AsoeError):
        return _of_ours(error)
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        code, detail = _HTTP_CODES.get(error.status_code, ("request_failed", HTTPStatus(error.status_code).phrase))
        return Problem(error.status_code, code, detail, headers=error.headers or {})
    if isinstance(error, ClientDisconnect):
        return Problem(400, "malformed_request", "The connection ended before the request was complete.")
    return _of_database(error)


def respond(problem: Problem, *, instance: str = "") -> Response:
    """The response; `instance` is the request's id."""
    body: dict[str, Any] = {
        "type": f"urn:asoe:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
    }
    if problem.errors:
        body["errors"] = [{"field": item.field, "problem": item.problem} for item in problem.errors[:_MAX_FIELDS]]
    if instance:
        body["instance"] = f"urn:asoe:request:{instance}"
    return Response(
        to_json(body, inf_nan_mode="null", serialize_unknown=True),
        problem.status,
        headers=dict(problem.headers),
        media_type=MEDIA_TYPE,
    )


def unexpected(error_id: str) -> Problem:
    """What a caller learns about an error in our code."""
    return Problem(
        500,
        "internal_error",
        f"This is a fault of the service, not of the request. It is logged as {error_id}; tell the operator that id.",
    )


def _of_ours(error: AsoeError) -> Problem:
    if isinstance(error, Invalid):
        return Problem(400 if error.unreadable else 422, error.code, error.message, error.fields)
    if isinstance(error, Denied):
        if error.unproven:
            proof = {"WWW-Authenticate": f'Bearer realm="asoe", error="{_oauth_error(error.code)}"'}
            return Problem(401, error.code, error.message, headers=proof)
        return Problem(403, error.code, error.message)
    if isinstance(error, Missing):
        return Problem(404, error.code, error.message)
    if isinstance(error, Conflict):
        return Problem(409, error.code, error.message)
    if isinstance(error, Unavailable):
        seconds = 1 if error.retry_after is None else max(1, math.ceil(error.retry_after))
        wait = {} if error.permanent else {"Retry-After": str(seconds)}
        return Problem(429 if error.throttled else 503, error.code, error.message, headers=wait)
    return Problem(500, error.code, error.message)


def _oauth_error(code: str) -> str:
    return "invalid_request" if code == "no_credentials" else "invalid_token"


def _of_validation(error: RequestValidationError) -> Problem:
    fields = []
    for item in error.errors():
        place = item["loc"][1:] if len(item["loc"]) > 1 else item["loc"]
        fields.append(FieldProblem(".".join(str(part) for part in place)[:200], str(item["msg"])[:300]))
    listed = "; ".join(f"{found.field}: {found.problem}" for found in fields[:5])
    return Problem(422, "invalid_request", f"The request does not fit this route: {listed}.", fields)


def _of_database(error: BaseException) -> Problem | None:
    """What went wrong in PostgreSQL, without its words: they may quote what the client sent."""
    if isinstance(error, asyncpg.UniqueViolationError):
        return Problem(409, "already_exists", "There is one like this already, or another request made it just now.")
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return Problem(409, "reference_missing", "Something this refers to does not exist, or exists no longer.")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return Problem(403, "denied", "The database refuses this act to your account.")
    if isinstance(
        error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError | asyncpg.ProgramLimitExceededError
    ):
        return Problem(
            422,
            "unstorable_value",
            "A value cannot be stored as it is: too long, out of range, or not allowed there.",
        )
    if isinstance(error, _RETRY):
        return Problem(
            503, "database_busy", "Another request was in the way. Send it again.", headers={"Retry-After": "1"}
        )
    if isinstance(error, _AWAY):
        return Problem(
            503, "database_unreachable", "The database is not reachable now. Try again.", headers={"Retry-After": "2"}
        )
    return None
