"""Calls that an OpenAPI document allows, and calls that it forbids, as Schemathesis makes them up."""

import contextlib
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

OURS = frozenset({"authorization", "content-length", "x-organization-id", "user-agent"})
schemathesis.serializer.alias("message/rfc822", "application/octet-stream")


def made_up(operation: Any, count: int) -> list[Any]:
    """The same `count` calls each time, half of them forbidden where anything can be wrong about the route."""
    found: list[Any] = []
    for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
        try:
            strategy = operation.as_strategy(generation_mode=mode)
        except Exception:  # nothing about this route can be wrong
            continue

        @settings(
            max_examples=count // 2,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        def collect(case: Any) -> None:
            found.append(case)

        with contextlib.suppress(Unsatisfiable):
            given(strategy)(collect)()
    return found


async def send(by: httpx.AsyncClient, case: Any) -> httpx.Response | None:
    """The answer; None for what cannot be put on a wire."""
    options = case.as_transport_kwargs(base_url=str(by.base_url))
    try:
        request = by.build_request(
            options["method"],
            options["url"],
            params=options.get("params"),
            json=options.get("json"),
            content=options.get("data") if isinstance(options.get("data"), bytes | str) else None,
            headers={
                name: value for name, value in dict(options.get("headers") or {}).items() if name.lower() not in OURS
            },
        )
    except (ValueError, TypeError, httpx.InvalidURL, UnicodeError):
        return None
    return await by.send(request)
