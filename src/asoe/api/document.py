"""The OpenAPI document: FastAPI's, with our problem responses, security and permissions, and as a page to read."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from asoe.api.answers import Problem
from asoe.api.permissions import RULES
from asoe.api.problems import MEDIA_TYPE

_PROBLEMS: Final = {
    400: "The request cannot be read.",
    401: "It is not known who calls.",
    403: "The caller may not.",
    404: "There is no such thing, or none the caller may see.",
    405: "The path does not take this method.",
    409: "The state changed or forbids it.",
    413: "The body is too large.",
    415: "The body is not of a type this route takes.",
    422: "The input is wrong; `errors` names each wrong field.",
    429: "Too many requests; wait `Retry-After` seconds.",
    500: "A fault of the service, logged with the id that the problem names.",
    503: "Something needed is not there now; wait `Retry-After` seconds.",
}
_BODY_ONLY: Final = frozenset({413, 415})
_DESCRIPTION: Final = """Autonomous Support & Ops Engine. JSON is snake_case, times are RFC 3339 in UTC, ids are UUIDs.

Say who you are with `Authorization: Bearer <API key or JWT>`. Lists answer `{items, next_cursor}`: give `next_cursor` as
`cursor` to go on. Every POST takes an `Idempotency-Key`. Errors are problem documents (RFC 9457) with a stable `code`."""


def document(api: FastAPI) -> dict[str, Any]:
    """Build the document once; the application keeps it."""
    if api.openapi_schema is not None:
        return api.openapi_schema
    made = get_openapi(title=api.title, version=api.version, description=_DESCRIPTION, routes=api.routes)
    schemas = made["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    made["components"]["schemas"]["Problem"] = _flat(
        Problem.model_json_schema(ref_template="#/components/schemas/{model}"), schemas
    )
    made["components"]["responses"] = {
        f"problem_{status}": {
            "description": said,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, said in _PROBLEMS.items()
    }
    made["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key (asoe_…) or a JWT."}
    }
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            _complete(path, method.upper(), operation)
    api.openapi_schema = made
    return made


def as_page(made: dict[str, Any]) -> str:
    """A page that lists every operation; no script, nothing from elsewhere."""
    rows = []
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            said = operation.get("description") or operation.get("summary", "")
            needs = operation.get("x-permission", "")
            rows.append(
                f"<tr><td><code>{method.upper()}</code></td><td><code>{escape(path)}</code></td>"
                f"<td>{escape(said)}</td><td><code>{escape(needs)}</code></td></tr>"
            )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(made['info']['title'])}: API</title><style>body{{font:15px/1.5 system-ui;margin:2rem auto;"
        "max-width:75rem;padding:0 1rem}td,th{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;"
        "border-bottom:1px solid #ccc}</style>"
        f"<h1>{escape(made['info']['title'])}: API</h1><p>{escape(made['info']['description'])}</p>"
        "<p>The whole of it, for tools: <a href=/openapi.json>openapi.json</a></p>"
        f"<table><tr><th>Method<th>Path<th>What it does<th>Permission</tr>{''.join(rows)}</table></html>"
    )


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    rule = RULES[method, path]
    operation["x-permission"] = rule.permission
    if rule.is_public:
        operation["security"] = []
    else:
        operation["security"] = [{"bearer": []}]
        operation["x-roles"] = sorted(rule.roles)
        if rule.scope is not None:
            operation["x-scope"] = rule.scope
    if method == "POST" and not rule.is_public:
        operation.setdefault("parameters", []).append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "The same key with the same request has one effect and answers the first response again.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            }
        )
    has_body = "requestBody" in operation
    for status in _PROBLEMS:
        if status in _BODY_ONLY and not has_body:
            continue
        if rule.is_public and status in {401, 403} and path != "/metrics":
            continue
        operation["responses"][str(status)] = {"$ref": f"#/components/responses/problem_{status}"}


def _flat(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    schemas.update(schema.pop("$defs", {}))
    return schema
